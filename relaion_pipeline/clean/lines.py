"""Cleaning CSV, TSV and JSONL: the lines that stay keep every byte."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

import pyarrow as pa

from relaion_pipeline.clean.columns import Choice
from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.clean.work import Work
from relaion_pipeline.shards import Shard, ShardError
from relaion_pipeline.shards.delimited import delimited
from relaion_pipeline.shards.finding import Format
from relaion_pipeline.shards.lines import MAX_LINE_BYTES

_BATCH = 16_384
_LOOKED_AT = 1_000
_BOM = b"\xef\xbb\xbf"

Record = tuple[int, bytes, list[str]]
"""Number of its first line, its bytes with all line ends, its fields."""


def clean(source: Path, target: Path | None, work: Work) -> tuple[int, int]:
    """Write the lines of `source` that stay to `target`, unless it is None; returns rows, and rows that went.

    Raises:
        CleanError: the file cannot be read, or a line is not what its format says; the line's number is told.
    """
    try:
        with _errors(source):
            shard = Shard("copy", source.name, source)
            read = _jsonl if shard.format is Format.JSONL else _delimited
            with closing(_opened(source, "rb")) as file, _Out(source, target) as out:
                head, rows = read(shard, _lines(file, source), work.choice)
                out.write(head)
                return _filter(rows, work, out.write)
    except ShardError as error:
        raise CleanError(str(error).removeprefix("copy: ")) from None


Row = tuple[bytes, str | None, str | None]
"""Its bytes, link and text."""


def _filter(rows: Iterator[Row], work: Work, write: Callable[[bytes], object]) -> tuple[int, int]:
    count = removed = 0
    while chunk := list(islice(rows, _BATCH)):
        goes = work.judge.goes(
            pa.array([link for _, link, _ in chunk], pa.large_string()),
            pa.array([text for _, _, text in chunk], pa.large_string()),
        )
        write(b"".join(raw for (raw, _, _), gone in zip(chunk, goes.tolist(), strict=True) if not gone))
        count += len(chunk)
        removed += int(goes.sum())
        work.progress(sum(len(raw) for raw, _, _ in chunk))
    return count, removed


def _delimited(shard: Shard, lines: Iterator[tuple[int, bytes]], choice: Choice) -> tuple[bytes, Iterator[Row]]:
    # Names and header are told as for the shards of a release; its rows are not used.
    schema, _ = delimited(shard, None, choice.setting)
    pair = choice.find(schema, shard.path)
    at = [schema.names.index(name) for name in (pair.link, pair.text) if name is not None]
    records = (_tsv if shard.format is Format.TSV else _csv)(lines, shard)
    first = next(records)
    head = first[1] if first[2] == schema.names else b""

    def rows() -> Iterator[Row]:
        if not head:
            yield _row(first, at, len(schema), shard)
        for record in records:
            yield _row(record, at, len(schema), shard)

    return head, rows()


def _row(record: Record, at: list[int], width: int, shard: Shard) -> Row:
    number, raw, fields = record
    if len(fields) != width:
        raise ShardError(f"{shard.name}, line {number}: {len(fields)} fields, but {width} columns; correct the line")
    return raw, fields[at[0]], fields[at[1]] if len(at) > 1 else ""


def _tsv(lines: Iterator[tuple[int, bytes]], shard: Shard) -> Iterator[Record]:
    windows: bool | None = None
    for number, raw in lines:
        line = raw.removesuffix(b"\n")
        if windows is None:
            windows = line.endswith(b"\r")
        text = _decoded(line.removesuffix(b"\r") if windows else line, number, shard)
        yield number, raw, text.split("\t")


def _csv(lines: Iterator[tuple[int, bytes]], shard: Shard) -> Iterator[Record]:
    csv.field_size_limit(MAX_LINE_BYTES)
    taken: list[tuple[int, bytes]] = []

    def source() -> Iterator[str]:
        for number, raw in lines:
            taken.append((number, raw))
            text = _decoded(raw, number, shard)
            yield text if text.endswith("\n") else text + "\n"

    reader = csv.reader(source(), strict=True)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error:
            raise ShardError(f"{shard.name}, line {taken[0][0]}: not valid CSV; correct the line") from None
        if fields is None:
            return
        yield taken[0][0], b"".join(raw for _, raw in taken), fields
        taken.clear()


def _jsonl(shard: Shard, lines: Iterator[tuple[int, bytes]], choice: Choice) -> tuple[bytes, Iterator[Row]]:
    def parsed() -> Iterator[tuple[int, bytes, dict[str, Any]]]:
        for number, raw in lines:
            try:
                row = json.loads(_decoded(raw, number, shard), object_pairs_hook=_object)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise ShardError(f"{shard.name}, line {number}: not a JSON object a line, no key twice; correct it")
            yield number, raw, row

    rows = parsed()
    looked_at = list(islice(rows, _LOOKED_AT))
    names = list(dict.fromkeys(key for _, _, row in looked_at for key in row))
    pair = choice.find(pa.schema([(name, pa.string()) for name in names]), shard.path)

    def chosen() -> Iterator[Row]:
        for source in (looked_at, rows):
            for number, raw, row in source:
                yield raw, _text(row, pair.link, number, shard), _text(row, pair.text, number, shard)

    return b"", chosen()


def _text(row: dict[str, Any], name: str | None, number: int, shard: Shard) -> str | None:
    value = row.get(name) if name is not None else None
    if not isinstance(value, str | None):
        raise ShardError(f"{shard.name}, line {number}: '{name}' is not text; correct the line")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError
    return made


def _decoded(line: bytes, number: int, shard: Shard) -> str:
    try:
        return line.removeprefix(_BOM).decode() if number == 1 else line.decode()
    except UnicodeDecodeError:
        raise ShardError(f"{shard.name}, line {number}: not valid UTF-8; convert the file") from None


def _lines(file: Any, path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line; one blank line at the end is left out, as by `relaion_pipeline.shards`."""
    number = 0
    held: tuple[int, bytes] | None = None
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise ShardError(f"{path}, line {number + 1}: longer than {MAX_LINE_BYTES} bytes, so not a row")
        number += 1
        if held is not None:
            yield held
        held = number, line
    if held is not None and held[1] not in {b"\n", b"\r\n"}:
        yield held


class _Out:
    """What is kept, packed as the source was; nothing is written where there is no target."""

    def __init__(self, source: Path, target: Path | None) -> None:
        self._file: Any = _opened(source, "wb", target) if target is not None else None

    def write(self, content: bytes) -> None:
        if self._file is not None:
            self._file.write(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _opened(source: Path, mode: Literal["rb", "wb"], target: Path | None = None) -> Any:
    """Open `source` to read, or `target` to write what `source`'s name says it is."""
    path = target or source
    suffix = source.suffix.lower()
    if suffix == ".gz":
        # No time and no name in it: the same lines give the same bytes.
        return gzip.GzipFile("", mode, 6, path.open(mode), mtime=0) if mode == "wb" else gzip.open(path, mode)
    if suffix == ".zst":
        if mode == "wb":
            return pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd")
        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd"))
    return path.open(mode)


@contextmanager
def _errors(source: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException, UnicodeEncodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise CleanError(f"{source}: cannot be read or written, damaged or cut short ({reason})") from None
