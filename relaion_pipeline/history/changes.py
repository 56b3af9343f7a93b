"""What differs between the inputs of two releases, or of a release and now, in plain words, and what it makes stale.

Two sets of inputs differ here exactly if their digests do. Lists are told by name, version and number of files.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from relaion_pipeline.release.records import UsedFeed, UsedInputs

_SHOWN_SHARDS = 5
_SHOWN_LETTERS = 60


class Kind(StrEnum):
    """What kind of input changed."""

    FEED = "feed"
    SHARDS = "shards"
    KEYWORDS = "keywords"
    SETTING = "setting"
    WAIVER = "waiver"
    CODE = "code"


class Stage(StrEnum):
    """What has to be done again, in the order of a run."""

    LISTS = "screening by lists"
    ASKED = "screening by lists (by index; read where that is not enough)"
    RULES = "screening by rules"
    SETTLED = "ledger and cover"
    EDITIONS = "editions"
    TOUCHED = "editions (where other rows go)"
    VERIFICATION = "verification"
    RELEASE = "release"


_ONLY_RELEASE = (Stage.RELEASE,)
_SETTLED = (Stage.SETTLED, Stage.TOUCHED, Stage.RELEASE)
_BY_LISTS = (Stage.ASKED, Stage.SETTLED, Stage.TOUCHED, Stage.VERIFICATION, Stage.RELEASE)
_BY_RULES = (Stage.RULES, Stage.SETTLED, Stage.TOUCHED, Stage.VERIFICATION, Stage.RELEASE)
_WRITTEN = (Stage.EDITIONS, Stage.VERIFICATION, Stage.RELEASE)
_ALL = (Stage.LISTS, Stage.RULES, Stage.SETTLED, Stage.EDITIONS, Stage.VERIFICATION, Stage.RELEASE)
_ALL_OF_SHARDS = (Stage.LISTS, Stage.RULES, Stage.SETTLED, Stage.EDITIONS, Stage.TOUCHED, *_WRITTEN[1:])

_OF_ALL_SHARDS = {Stage.SETTLED, Stage.TOUCHED, Stage.RELEASE}
"""Stages that look at all shards together: what changes in one may take rows out of another."""

_STAGES = {
    "dataset": _ONLY_RELEASE,
    "feeds": _BY_LISTS,
    "nsfw": _BY_RULES,
    "output": _WRITTEN,
    "removals": _SETTLED,
}
"""What a setting of a section makes stale; of one not named here, all."""

_NOT_READING = {"shards", "slices"}
"""Settings of a subset that do not decide how its shards are read. Which shards there are is told apart."""

_LABELS = {"partner", "version"}
"""Settings of a feed that only its release's manifest tells."""


@dataclass(frozen=True)
class Change:
    """One thing that differs."""

    kind: Kind
    text: str
    stages: tuple[Stage, ...]
    shards: tuple[str, ...] | None = None  # `subset/stem` of those it concerns; None: all

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"kind": str(self.kind), "text": self.text, "stages": [str(stage) for stage in self.stages]}


def between(old: UsedInputs, new: UsedInputs) -> tuple[Change, ...]:
    """What changed from `old` to `new`; nothing exactly if both make the same release."""
    return (
        *_feeds(old, new),
        *_shards(old, new),
        *_keywords(old, new),
        *_settings(old, new),
        *_waivers(old, new),
        *_code(old, new),
    )


def stale(changes: Iterable[Change], shards: Iterable[str]) -> dict[Stage, set[str]]:
    """Of `shards` (`subset/stem`), those that each stage has to do again; a stage with nothing to do is left out."""
    known = set(shards)
    found: dict[Stage, set[str]] = {}
    for change in changes:
        for stage in change.stages:
            whole = change.shards is None or stage in _OF_ALL_SHARDS
            found.setdefault(stage, set()).update(known if whole else known & set(change.shards or ()))
    if Stage.ASKED in found:
        found[Stage.ASKED] -= found.get(Stage.LISTS, set())  # these are read in any case
    return {stage: found[stage] for stage in Stage if found.get(stage)}


def _feeds(old: UsedInputs, new: UsedInputs) -> Iterator[Change]:
    for name in [*old.feeds, *(name for name in new.feeds if name not in old.feeds)]:
        before, after = old.feeds.get(name), new.feeds.get(name)
        if before is None and after is not None:
            text = f"feed '{name}' of {after.partner}, version {after.version}: added"
            yield Change(Kind.FEED, text, _BY_LISTS)
        elif before is not None and after is None:
            text = f"feed '{name}' of {before.partner}: no longer used"
            yield Change(Kind.FEED, text, _BY_LISTS)
        elif before is not None and after is not None:
            yield from _feed(name, before, after)


def _feed(name: str, old: UsedFeed, new: UsedFeed) -> Iterator[Change]:
    told = []
    if old.version != new.version:
        told.append(f"version {old.version} -> {new.version}")
    if old.partner != new.partner:
        told.append(f"partner {old.partner} -> {new.partner}")
    read_anew = list(old.files.values()) != list(new.files.values())
    if read_anew:
        told.append(_files(old.files, new.files))
    if told:
        yield Change(Kind.FEED, f"feed '{name}': {', '.join(told)}", _BY_LISTS if read_anew else _ONLY_RELEASE)


def _files(old: dict[str, str], new: dict[str, str]) -> str:
    changed = sum(old[name] != new[name] for name in old.keys() & new.keys())
    counted = {
        "changed": f"{changed} of {len(new)}" if changed else "",
        "added": str(len(new.keys() - old.keys()) or ""),
        "gone": str(len(old.keys() - new.keys()) or ""),
    }
    return (
        ", ".join(f"files {what}: {number}" for what, number in counted.items() if number) or "files in another order"
    )


def _shards(old: UsedInputs, new: UsedInputs) -> Iterator[Change]:
    added = [name for name in new.shards if name not in old.shards]
    gone = [name for name in old.shards if name not in new.shards]
    replaced = [name for name in new.shards if name in old.shards and new.shards[name] != old.shards[name]]
    for what, names, stages in (
        ("added", added, _ALL_OF_SHARDS),
        ("replaced", replaced, _ALL_OF_SHARDS),
        ("removed", gone, _SETTLED),
    ):
        by_subset: dict[str, list[str]] = {}
        for name in names:
            by_subset.setdefault(name.partition("/")[0], []).append(name)
        for subset, found in by_subset.items():
            shown = ", ".join(name.partition("/")[2] for name in found[:_SHOWN_SHARDS])
            more = f" and {len(found) - _SHOWN_SHARDS} more" if len(found) > _SHOWN_SHARDS else ""
            number = "1 shard" if len(found) == 1 else f"{len(found):,} shards"
            concerned = None if what == "removed" else tuple(found)
            yield Change(Kind.SHARDS, f"{number} of {subset} {what}: {shown}{more}", stages, concerned)
    kept = [name for name in old.shards if name in new.shards]
    if kept != [name for name in new.shards if name in old.shards]:
        yield Change(Kind.SHARDS, "shards in another order", _ONLY_RELEASE)


def _keywords(old: UsedInputs, new: UsedInputs) -> Iterator[Change]:
    if old.keywords_sha256 != new.keywords_sha256:
        yield Change(Kind.KEYWORDS, "keyword file changed", _BY_RULES)


def _settings(old: UsedInputs, new: UsedInputs) -> Iterator[Change]:
    before, after = dict(_flat(old.settings)), dict(_flat(new.settings))
    for place in [*before, *(place for place in after if place not in before)]:
        if before.get(place) == after.get(place):
            continue
        section, name, key = (*place, "", "")[:3]
        if section in {"subsets", "feeds"}:
            both = name in old.settings[section] and name in new.settings[section]
            if not both or (section == "feeds" and key in _LABELS):
                continue  # told as shards or as a feed
        text = f"{'.'.join(place)}: {_shown(before.get(place))} -> {_shown(after.get(place))}"
        concerned = None
        if section == "subsets" and key not in _NOT_READING:
            concerned = tuple(shard for shard in new.shards if shard.partition("/")[0] == name)
        yield Change(Kind.SETTING, text, _stages(section, key), concerned)


def _stages(section: str, key: str) -> tuple[Stage, ...]:
    """What a setting makes stale."""
    if section == "subsets":
        return _ONLY_RELEASE if key in _NOT_READING else _ALL_OF_SHARDS
    return _STAGES.get(section, _ALL)


def _flat(settings: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value of the settings with its place; waivers are told apart."""
    for key, value in settings.items():
        here = (*place, key)
        if here == ("waivers",):
            continue
        if isinstance(value, dict) and len(here) < 4:  # noqa: PLR2004  (deeper tables are told as one)
            yield from _flat(value, here)
        else:
            yield here, value


def _shown(value: Any) -> str:
    text = "none" if value is None else " ".join(str(value).split())
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}..."


def _waivers(old: UsedInputs, new: UsedInputs) -> Iterator[Change]:
    if old.waivers == new.waivers:
        return
    withdrawn = [waiver for waiver in old.waivers if waiver not in new.waivers]
    granted = [waiver for waiver in new.waivers if waiver not in old.waivers]
    for what, waivers in (("withdrawn", withdrawn), ("granted", granted)):
        for waiver in waivers:
            stages = _SETTLED if waiver["kind"] == "removed-before" else _BY_LISTS
            yield Change(Kind.WAIVER, f"waiver {what}: {describe_waiver(waiver)}", stages)
    if not withdrawn and not granted:
        yield Change(Kind.WAIVER, "waivers in another order, or repeated", _ONLY_RELEASE)


def describe_waiver(waiver: dict[str, Any]) -> str:
    """A waiver in words: what is waived, by whom, why. Other fields it may have stay untold."""
    told = [str(waiver["kind"])]
    if waiver.get("feed"):
        told.append(f"of feed '{waiver['feed']}'")
    if waiver.get("subset"):
        told.append(f"for {waiver['subset']}")
    if waiver.get("entry"):
        told.append(f"entry number {waiver['entry']}")
    if waiver.get("release"):
        told.append(f"by release {waiver['release']}")
    if waiver.get("rows") is not None:
        told.append(f"({waiver['rows']:,} removals lifted)")
    return f"{' '.join(told)}, by {waiver['by']}: {_shown(waiver['reason'])}"


def _code(old: UsedInputs, new: UsedInputs) -> Iterator[Change]:
    if old.code_version != new.code_version:
        yield Change(Kind.CODE, f"code: {old.code_version} -> {new.code_version}", _ALL)
