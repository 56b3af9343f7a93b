"""What a sample will hold, decided before a row is made: sizes, and which rows which partner lists.

What belongs here: the proportions of LAION's note on Re-LAION-5B and how they scale.
What does not: making rows or files.
"""

from dataclasses import dataclass

import numpy as np

SUBSET_ROWS = {"2B-en": 2_320, "2B-multi": 2_260, "1B-nolang": 1_270}
"""Millions of rows in LAION-5B: the subsets' proportions."""

FULL_UNION = 2_236
FULL_HASHES = 16_200_000
ROWS_PER_SHARD = 500_000
FEWEST_ROWS = 1_000
FEWEST_PLANTED = 40


@dataclass(frozen=True)
class SampleFeed:
    """One list of the sample: its settings, and how much of it LAION's partners sent and matched."""

    name: str
    partner: str
    file: str  # relative to the data root
    kind: str  # as truth records it
    entries: int  # as listed for LAION-5B
    matched: tuple[int, int, int]  # rows of 2B-en, 2B-multi, 1B-nolang that it lists


FEEDS = (
    SampleFeed("iwf-images", "IWF", "feeds/iwf/images.md5.txt", "image_md5", 2_000_000, (9, 3, 5)),
    SampleFeed("iwf-links", "IWF", "feeds/iwf/links.md5.txt", "link_md5", 200_000, (1, 0, 0)),
    SampleFeed("c3p-images", "C3P", "feeds/c3p/images.csv", "image_md5", 14_000_000, (459, 390, 280)),
    SampleFeed("stanford-links", "Stanford Internet Observatory", "feeds/stanford/links.sha1.txt", "link_sha1",
               3_114, (788, 487, 439)),
    # LAION gives no match count for HRW; these are invented, small beside the others.
    SampleFeed("hrw-links", "Human Rights Watch", "feeds/hrw/links.txt", "link", 399, (66, 42, 12)),
)  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """One listed row. `feeds` are positions in FEEDS."""

    subset: str
    shard: int
    row: int
    feeds: tuple[int, ...]
    token: str  # stands in the row's link and nowhere else, so that no other row is the same link in any spelling
    md5: bytes

    @property
    def by_image(self) -> bool:
        return any(FEEDS[feed].kind == "image_md5" for feed in self.feeds)


@dataclass(frozen=True)
class Plan:
    """Shard sizes by subset, the listed rows, and how many entries each feed of FEEDS has."""

    shards: dict[str, list[int]]
    planted: list[Planted]
    entries: list[int]


def make_plan(
    random: np.random.Generator, *, rows: int, shards: int | None, hashes: int | None, planted: int | None, marks: bool
) -> Plan:
    """Decide everything that one shard alone cannot.

    Raises:
        ValueError: a number is out of range; the message says which and what is possible.
    """
    union = min(FULL_UNION, max(60, rows // 300)) if planted is None else planted
    total = min(FULL_HASHES, rows) if hashes is None else hashes
    if rows < FEWEST_ROWS:
        raise ValueError(f"rows must be at least {FEWEST_ROWS}, not {rows}")
    if union != 0 and not FEWEST_PLANTED <= union <= rows // 8:
        raise ValueError(f"planted must be 0, or {FEWEST_PLANTED} to an eighth of the rows ({rows // 8}), not {union}")
    if shards is not None and not 1 <= shards <= rows // FEWEST_ROWS:
        raise ValueError(f"shards must be 1 to {rows // FEWEST_ROWS} for {rows} rows, not {shards}")
    if total < 0:
        raise ValueError(f"hashes must not be negative, not {total}")

    sizes = {
        subset: _cut(count, shards or max(3, -(-count // ROWS_PER_SHARD)))
        for subset, count in zip(SUBSET_ROWS, apportion(rows, list(SUBSET_ROWS.values())), strict=True)
    }
    listed = _plant(random, sizes, union, marks=marks) if union else []
    matched = [sum(feed in each.feeds for each in listed) for feed in range(len(FEEDS))]
    scaled = [round(feed.entries * total / FULL_HASHES) for feed in FEEDS]
    # A short list still holds entries that match nothing, in the proportion of Stanford's: 3,114 for 1,714 rows.
    entries = [max(size, -(-count * 9 // 5), 10) for size, count in zip(scaled, matched, strict=True)]
    return Plan(sizes, listed, entries)


def apportion(total: int, weights: list[int]) -> list[int]:
    """`total` split by `weights` into whole numbers that add up to it (largest remainders)."""
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(each) for each in exact]
    by_remainder = sorted(range(len(weights)), key=lambda at: parts[at] - exact[at])
    for at in by_remainder[: total - sum(parts)]:
        parts[at] += 1
    return parts


def slots(subset: int, union: int, full_union: int) -> list[tuple[int, ...]]:
    """For each of `union` listed rows of the subset, the feeds that list it.

    Feeds claim rows one after another; the last one, C3P, runs over the end and lists again rows from the middle of
    the small feeds on, so that some rows of every feed are its own and some are shared.
    """
    scale = union / full_union
    counts = [max(1, round(feed.matched[subset] * scale)) if feed.matched[subset] else 0 for feed in FEEDS]
    iwf_images, iwf_links, c3p, stanford, hrw = range(len(FEEDS))
    halves = [(feed, counts[feed] // 2) for feed in (iwf_images, iwf_links, hrw)]
    claims = [feed for feed, half in halves for _ in range(half)]
    turn = len(claims)
    claims += [feed for feed, half in halves for _ in range(counts[feed] - half)]
    claims += [stanford] * counts[stanford] + [c3p] * counts[c3p]
    rows: list[list[int]] = [[] for _ in range(union)]
    for at, feed in enumerate(claims):
        rows[at if at < union else turn + at - union].append(feed)
    return [tuple(sorted(feeds)) for feeds in rows]


def _cut(rows: int, parts: int) -> list[int]:
    """Shard sizes: unequal by a little, as real ones are."""
    return apportion(rows, [1_000 + at * 37 % 101 for at in range(parts)])


def _plant(random: np.random.Generator, sizes: dict[str, list[int]], union: int, *, marks: bool) -> list[Planted]:
    full = [sum(column) for column in zip(*(feed.matched for feed in FEEDS), strict=True)]
    full_unions = apportion(FULL_UNION, full)
    tokens = make_tokens(random, union, marks=marks)
    listed: list[Planted] = []
    for at, (subset, count) in enumerate(zip(sizes, apportion(union, full_unions), strict=True)):
        places = random.choice(sum(sizes[subset]), count, replace=False, shuffle=True)
        ends = np.cumsum(sizes[subset])
        for place, feeds in zip(places.tolist(), slots(at, count, full_unions[at]), strict=True):
            shard = int(np.searchsorted(ends, place, side="right"))
            row = place - int(ends[shard]) + sizes[subset][shard]
            listed.append(Planted(subset, shard, row, feeds, tokens[len(listed)], random.bytes(16)))
    return listed


def make_tokens(random: np.random.Generator, count: int, *, marks: bool) -> list[str]:
    """`count` distinct tokens that nothing else in a sample looks like."""
    values = np.unique(random.integers(0, 2**32, 2 * count + 8, dtype=np.uint64))
    stem = "zqx7canary" if marks else "zqx7"
    return [f"{stem}{value:08x}" for value in random.permutation(values)[:count].tolist()]
