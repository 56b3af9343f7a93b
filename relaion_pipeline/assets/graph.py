"""Names of the assets, and what each depends on.

What belongs here: keys, groups, owners. What does not: what an asset does.

Feeds, keywords and settings are named as direct dependencies of all that they influence: Dagster's staleness looks one
hop up, and only so shows exactly what is out of date.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import dagster as dg

from relaion_pipeline.provenance import code_version
from relaion_pipeline.settings import Settings, dagster_name

OWNER = "team:release-engineering"
SETTINGS = dg.AssetKey("settings")
KEYWORDS = dg.AssetKey("keywords")
BLOCKLIST = dg.AssetKey("blocklist")
LEDGER = dg.AssetKey("ledger")
EDITION_SET = dg.AssetKey("edition_set")
RELEASE = dg.AssetKey("release")
PUBLISHED_RELEASE = dg.AssetKey("published_release")
STAGES = ("shards", "screened", "editions", "verified")
"""What is done slice by slice, in this order."""


@dataclass(frozen=True)
class Slice:
    """A stable group of shards of one subset, the unit of scheduling."""

    subset: str
    number: int

    @property
    def name(self) -> str:
        """As people call it: `2B-en-00`."""
        return f"{self.subset}-{self.number:02d}"

    def key(self, stage: str) -> dg.AssetKey:
        """The asset of one stage: `2B-en/screened-00`. The UI's graph shows the last part only, so that names it."""
        return dg.AssetKey([self.subset, f"{stage}-{self.number:02d}"])


def slices(settings: Settings) -> Iterator[Slice]:
    """Every slice of the dataset."""
    for name, subset in settings.subsets.items():
        for number in range(subset.slices):
            yield Slice(name, number)


def parts(settings: Settings) -> Iterator[tuple[dg.AssetKey, str, str | None]]:
    """Every asset that a release is put together from: its key, its stage, and the feed or slice where it has several.

    A release itself is none of its parts.
    """
    for key in (SETTINGS, KEYWORDS, BLOCKLIST, LEDGER, EDITION_SET):
        yield key, key.to_user_string(), None
    for name in settings.feeds:
        yield feed_key(name), "feeds", name
    for each in slices(settings):
        for stage in STAGES:
            yield each.key(stage), stage, each.name


def feed_key(name: str) -> dg.AssetKey:
    """The asset of one feed."""
    return dg.AssetKey(["feeds", name])


def feed_keys(settings: Settings) -> list[dg.AssetKey]:
    """The assets of all feeds."""
    return [feed_key(name) for name in settings.feeds]


Compute = Callable[..., dg.MaterializeResult[None]]


def asset(
    key: dg.AssetKey, *, deps: Iterable[dg.AssetKey] = (), group: str, kinds: set[str], description: str
) -> Callable[[Compute], dg.AssetsDefinition]:
    """`dg.asset` with what every asset of ours says of itself."""

    def decorate(compute: Compute) -> dg.AssetsDefinition:
        definition: dg.AssetsDefinition = dg.asset(
            key=key,
            deps=list(deps),
            group_name=dagster_name(group),
            kinds=kinds,
            description=description,
            owners=[OWNER],
            code_version=code_version(),
        )(compute)
        return definition

    return decorate
