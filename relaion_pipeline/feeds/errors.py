"""What goes wrong with a feed, said without saying what is in it.

A library's exception holds what it choked on (`JSONDecodeError.doc` is the whole document), and an exception raised
while another is handled keeps that other as `__context__`, whatever `from None` hides on screen. So FeedErrors are
raised *after* an `except` block is left, never inside one.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where in a feed: file, and the line or record where that is known. Never what stands there."""

    feed: str
    file: str
    number: int | None = None
    unit: str = "line"

    def __str__(self) -> str:
        where = f"feed '{self.feed}', {self.file}"
        return where if self.number is None else f"{where}, {self.unit} {self.number}"


class FeedError(Exception):
    """A feed cannot be used. The message names feed, file, line number and remedy; never an entry."""

    def __init__(self, what: str, *, place: Place | None = None, remedy: str) -> None:
        where = f"{place}: " if place else ""
        super().__init__(f"{where}{what}; {remedy}")
        self.place = place
        self.remedy = remedy
