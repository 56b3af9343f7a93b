"""By which runs a release was made: its own, and those before it whose work it took over.

What belongs here: saying it shortly. What does not: finding it out (`release.records` has it written down).
"""

from collections import Counter
from collections.abc import Iterator

from relaion_pipeline.audit.lines import Line, State
from relaion_pipeline.release.records import MadePart, ReleaseRecord

_NAMED = 6
"""Slices or feeds of one stage that are named; of more, the number is."""


def lines(record: ReleaseRecord) -> Iterator[Line]:
    """When and by which run, and one line for each earlier run that made parts of it."""
    own = record.run_id or "unknown"
    yield Line("made", State.TOLD, f"{record.made_at or 'at an unknown time'} by run {own}")
    sizes = Counter(each.stage for each in record.parts)
    by_run: dict[str, list[MadePart]] = {}
    for each in record.parts:
        by_run.setdefault(each.run_id, []).append(each)
    for run, made in by_run.items():
        if run != own:
            yield Line("taken over", State.TOLD, f"from run {run}: {'; '.join(_stages(made, sizes))}")
    if set(by_run) == {own}:
        yield Line("taken over", State.TOLD, "nothing: that run made every part")


def _stages(made: list[MadePart], sizes: Counter[str]) -> Iterator[str]:
    stages: dict[str, list[str]] = {}
    for each in made:
        stages.setdefault(each.stage, []).extend([each.part] if each.part is not None else [])
    for stage, names in stages.items():
        if not names:
            yield stage
        elif len(names) == sizes[stage]:
            yield f"{stage}, all {len(names)}"
        elif len(names) <= _NAMED:
            yield f"{stage} {', '.join(names)}"
        else:
            yield f"{stage}, {len(names)} of {sizes[stage]}"
