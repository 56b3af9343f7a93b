"""The settings files that samples come with, as text a person can read and edit."""

import math

from relaion_pipeline.sample.plan import FEEDS, Plan
from relaion_pipeline.sample.rows import REMOVED_FROM_RESEARCH

_GENERATED_HEAD = """\
# Settings of a generated sample. Every row, link and listed entry in this folder is invented.
# `relaion init DIR` writes a file that explains every key.

[dataset]
name = "sample"
title = "Generated sample in the shape of LAION-5B"
"""

_ADOPTED_HEAD = """\
# Settings of a sample around real shards, which are read where they lie.
# The scores and the lists are generated: figures made with them say nothing about the real rows.

[dataset]
name = "adopted-sample"
title = "Real shards with generated scores and lists"
"""

_NSFW = """
[nsfw]
keywords = "keywords.txt"
research_above = 0.95
research_safe_above = 0.45
"""

_REMOVALS = """
# A sample holds enough listed rows to test with among far fewer ordinary ones than a real dataset of billions
# removes: it cannot keep the default of 0.001. {why}
[removals]
max_listed_share = {share}
"""
# Lists are of distinct keys, and links that other rows keep are in none, so they are shorter than the rows removed.
_LIST_PER_ROW = 0.8


def generated(plan: Plan) -> str:
    """Settings for the sample that `plan` describes."""
    text = _GENERATED_HEAD
    for subset in plan.shards:
        text += f'\n[subsets.{subset}]\nshards = "raw/{subset}/*.parquet"\nslices = 1\n'
    for feed, entries in zip(FEEDS, plan.entries, strict=True):
        text += feed_table(feed.name, feed.partner, feed.file, feed.kind, least=max(1, entries // 2))
    return text + _NSFW + _REMOVALS.format(why="This share it can keep.", share=_share(plan))


def _share(plan: Plan) -> float:
    """Listed rows over all that leave research, rounded up."""
    listed = len(plan.planted)
    ordinary = REMOVED_FROM_RESEARCH * sum(map(sum, plan.shards.values()))
    return min(1.0, math.ceil(100 * listed / (_LIST_PER_ROW * (listed + ordinary))) / 100)


def adopted(subsets: list[str], feeds: list[str]) -> str:
    """Settings made of ready tables for subsets and feeds."""
    removals = _REMOVALS.format(why="Nobody's row is listed in earnest.", share=1.0)
    return _ADOPTED_HEAD + "".join(subsets) + "".join(feeds) + _NSFW + removals


def feed_table(name: str, partner: str, file: str, kind: str, *, least: int) -> str:
    """One feed's table; `kind` is the truth's word for it."""
    what, _, digest = kind.partition("_")
    lines = [f"\n[feeds.{name}]", f'partner = "{partner}"', 'version = "sample"', f'files = "{file}"']
    if file.endswith(".csv"):
        lines += ['format = "csv"', 'column = "md5"']
    lines.append(f'kind = "{"link-hash" if what == "link" and digest else what}"')
    if digest:
        lines.append(f'hash = "{digest}"')
    lines.append(f"min_entries = {least}  # half of what the sample holds: a list cut short stops the release")
    return "\n".join(lines) + "\n"
