"""What an audit says: lines that are right, wrong or cannot be known, under headings.

A line names files, shards, lists and differences; never an entry, and no count of listed rows of one shard.
"""

from dataclasses import dataclass
from enum import StrEnum

from relaion_pipeline.audit.published import Finding


class State(StrEnum):
    """How a line came out."""

    OK = "ok"
    FAILED = "FAILED"
    UNKNOWN = "not known"  # what it takes is gone, and rightly so: a later release took its place
    TOLD = ""  # nothing to judge


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    what: str
    state: State
    detail: str = ""


@dataclass(frozen=True)
class Section:
    """Lines that belong together."""

    title: str
    lines: tuple[Line, ...]

    @property
    def failed(self) -> int:
        """How many lines failed."""
        return sum(line.state is State.FAILED for line in self.lines)


@dataclass(frozen=True)
class Audit:
    """A whole audit of one release."""

    version: str
    title: str
    sections: tuple[Section, ...]

    @property
    def passed(self) -> bool:
        """Whether no line failed."""
        return not any(section.failed for section in self.sections)


def judged(what: str, problems: list[str], otherwise: str = "") -> Line:
    """A line that fails if there is any problem, and says all of them."""
    return Line(what, State.FAILED, "; ".join(problems)) if problems else Line(what, State.OK, otherwise)


def of_finding(finding: Finding) -> Line:
    """A finding of `relaion verify` as a line."""
    return Line(finding.name.replace("_", " "), State.OK if finding.passed else State.FAILED, finding.detail)
