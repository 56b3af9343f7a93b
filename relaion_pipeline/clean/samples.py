"""Judging samples of img2dataset by the JSON that each carries."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.clean.work import Work

if TYPE_CHECKING:
    from relaion_pipeline.clean.columns import Pair

MAX_JSON = 16 << 20


class JsonJudge:
    """Says of samples' JSON whether the sample goes. The first one tells which values are link and text."""

    def __init__(self, work: Work, where: Any) -> None:
        self._work = work
        self._where = where
        self._pair: Pair | None = None

    def goes(self, given: Iterable[tuple[str, bytes]]) -> list[bool]:
        """For each JSON, whether its sample goes; with each comes what to call it in an error.

        Raises:
            CleanError: one does not tell its sample's link.
        """
        pairs = [self._read(name, content) for name, content in given]
        links = pa.array([link for link, _ in pairs], pa.large_string())
        texts = pa.array([text for _, text in pairs], pa.large_string())
        answers: list[bool] = self._work.judge.goes(links, texts).tolist()
        return answers

    def _read(self, name: str, content: bytes) -> tuple[str | None, str | None]:
        try:
            values = json.loads(content)
            if self._pair is None:
                schema = pa.schema([(key, pa.string()) for key in values])
                self._pair = self._work.choice.find(schema, self._where)
            link, text = values[self._pair.link], values[self._pair.text] if self._pair.text is not None else ""
            return _as_text(link), _as_text(text)
        except (ValueError, RecursionError, TypeError, AttributeError, KeyError):
            raise CleanError(f"{self._where}: {name} is no JSON with its sample's link, and text; correct it") from None


def key_of(name: str) -> str:
    """A sample's name as webdataset has it: of its files' names all up to the first dot after the last slash."""
    dot = name.find(".", name.rfind("/") + 1)
    return name if dot < 0 else name[:dot]


def _as_text(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise TypeError
    (value or "").encode()  # half a surrogate pair is no text; that error is a ValueError
    return value
