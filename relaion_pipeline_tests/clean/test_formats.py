"""Each format is cleaned of exactly what the edition lacks, and everything else keeps every byte."""

import csv
import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import sample
from relaion_pipeline_tests.clean import copies
from relaion_pipeline_tests.clean.copies import Truth
from relaion_pipeline_tests.end_to_end import shared


@pytest.fixture(scope="module")
def known(released: sample.SampleSummary) -> Truth:
    found = copies.truth(released.data_root, "research")
    assert sum(found.removed.values()) > 200
    assert not set(found.removed) & set(found.kept)  # else no list of keys could be exact
    return found


@pytest.fixture
def lists(released: sample.SampleSummary) -> Path:
    return shared.current(released.data_root)


def cleaned(copy: Path, lists: Path, out: Path, *more: object) -> dict[str, Any]:
    answer = shared.run("clean", copy, "--removals", lists, "--out", out, "--jobs", 1, *more)
    assert answer.exit_code == 0, answer.output
    report: dict[str, Any] = json.loads((out / "clean-report.json").read_text())
    assert report["failures"] == []
    return report["counts"]


@pytest.mark.parametrize("edition", ["research", "research-safe"])
def test_source_itself(released: sample.SampleSummary, lists: Path, tmp_path: Path, edition: str) -> None:
    counts = cleaned(released.data_root / "raw", lists, tmp_path / "out", "--edition", edition)
    rows = removed = 0
    for subset, stem, table in shared.sources(released.data_root):
        safe, shared_rows, extra = shared.published(released.data_root, subset, stem)
        expected = Counter(copies.pairs(safe if edition == "research-safe" else pa.concat_tables([shared_rows, extra])))
        left = pq.ParquetFile(tmp_path / "out" / subset / f"{stem}.parquet").read()
        keep = [each in expected for each in copies.pairs(table)]
        assert shared.same_rows(left, table.filter(pa.array(keep)))
        assert Counter(copies.pairs(left)) == expected
        rows, removed = rows + len(table), removed + len(table) - len(left)
    assert counts["metadata"]["rows"] == rows
    assert counts["metadata"]["rows_removed"] == removed > 0


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "jsonl", "jsonl.gz", "jsonl.zst"])
def test_lines_keep_every_byte(known: Truth, lists: Path, tmp_path: Path, ending: str) -> None:
    rows = copies.some(known, 1_000)
    if ending == "tsv":  # which has no way to write these
        rows = [each for each in rows if not any(mark in field for field in each for mark in "\t\r\n")]
    head, lines = _as_lines(rows, ending.partition(".")[0])
    packed = _pack(head + b"".join(lines), ending)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / f"part.{ending}").write_bytes(packed)
    counts = cleaned(tmp_path / "copy", lists, tmp_path / "out")
    left = _unpack((tmp_path / "out" / f"part.{ending}").read_bytes(), ending)
    assert left == head + b"".join(line for each, line in zip(rows, lines, strict=True) if each in known.kept)
    assert counts["metadata"]["rows_removed"] == sum(each in known.removed for each in rows) > 200


def _as_lines(rows: list[copies.Pair], kind: str) -> tuple[bytes, list[bytes]]:
    """A header, and each row's bytes; quotes, newlines in quotes and escapes as awkward as the format allows."""
    if kind == "jsonl":
        # Escaped on purpose: not how the product would write it.
        return b"", [json.dumps({"n": 1.50, "caption": text, "url": link}).encode() + b" \n" for link, text in rows]
    if kind == "tsv":
        return b"url\tcaption\n", [f"{link}\t{text}\n".encode() for link, text in rows]
    lines = []
    for link, text in rows:
        made = io.StringIO()
        csv.writer(made, quoting=csv.QUOTE_ALL).writerow(["a\nb", text, link])
        lines.append(made.getvalue().encode())
    return b"\xef\xbb\xbfnote,caption,url\r\n", lines


def _pack(content: bytes, ending: str) -> bytes:
    if ending.endswith(".gz"):
        return gzip.compress(content)
    if ending.endswith(".zst"):
        return bytes(pa.Codec("zstd").compress(content, asbytes=True))
    return content


def _unpack(content: bytes, ending: str) -> bytes:
    if ending.endswith(".gz"):
        return gzip.decompress(content)
    if ending.endswith(".zst"):
        return pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()
    return content


def _records(known: Truth) -> list[list[dict[str, Any]]]:
    rows = copies.some(known, 400)
    return [copies.metas(rows[start : start + 300], start) for start in range(0, len(rows), 300)]


def _stays(known: Truth, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in records if (each["url"], each["caption"]) in known.kept]


def _check_beside(out: Path, stem: str, staying: list[dict[str, Any]], *, images: bool = False) -> None:
    left = pq.ParquetFile(out / f"{stem}.parquet")
    columns = list(copies.SCHEMA.names)
    assert left.read(columns).to_pylist() == staying
    assert left.schema_arrow.names == columns + ["jpg"] * images
    stats, expected = json.loads((out / f"{stem}_stats.json").read_bytes()), json.loads(copies.stats(staying))
    assert stats == expected


@pytest.mark.parametrize("beside", [True, False])
def test_webdataset(known: Truth, lists: Path, tmp_path: Path, beside: bool) -> None:
    copy, out = tmp_path / "copy", tmp_path / "out"
    copy.mkdir()
    shards = _records(known)
    for number, records in enumerate(shards):
        copies.webdataset(records, copy, f"{number:05d}")
        if not beside:
            (copy / f"{number:05d}.parquet").unlink()
            (copy / f"{number:05d}_stats.json").unlink()
    counts = cleaned(copy, lists, out)
    for number, records in enumerate(shards):
        staying = _stays(known, records)
        before = copies.tar_members(copy / f"{number:05d}.tar")
        after = copies.tar_members(out / f"{number:05d}.tar")
        keys = {each["key"] for each in staying}
        assert list(after.items()) == [each for each in before.items() if each[0].partition(".")[0] in keys]
        assert (out / f"{number:05d}.tar").stat().st_size % 10_240 == 0
        if beside:
            _check_beside(out, f"{number:05d}", staying)
    samples = [each for records in shards for each in records if each["status"] == "success"]
    assert counts["webdataset tar"]["samples"] == len(samples)
    assert counts["webdataset tar"]["samples_removed"] == len(samples) - len(_stays(known, samples))


def test_files(known: Truth, lists: Path, tmp_path: Path) -> None:
    copy, out = tmp_path / "copy", tmp_path / "out"
    copy.mkdir()
    shards = _records(known)
    for number, records in enumerate(shards):
        copies.files(records, copy, f"{number:05d}")
    cleaned(copy, lists, out)
    for number, records in enumerate(shards):
        staying = _stays(known, records)
        expected = {
            f"{each['key']}.{ending}": content
            for each in staying
            if each["status"] == "success"
            for ending, content in copies.sample(each).items()
        }
        found = {path.name: path.read_bytes() for path in (out / f"{number:05d}").iterdir()}
        assert found == expected
        _check_beside(out, f"{number:05d}", staying)


def test_parquet_with_images(known: Truth, lists: Path, tmp_path: Path) -> None:
    copy, out = tmp_path / "copy", tmp_path / "out"
    copy.mkdir()
    for number, records in enumerate(_records(known)):
        copies.parquet(records, copy, f"{number:05d}")
    cleaned(copy, lists, out)
    for number, records in enumerate(_records(known)):
        staying = _stays(known, records)
        _check_beside(out, f"{number:05d}", staying, images=True)
        images = pq.ParquetFile(out / f"{number:05d}.parquet").read(["jpg"])["jpg"].to_pylist()
        assert images == [copies.image(each) if each["status"] == "success" else None for each in staying]


def test_nothing_to_remove_leaves_a_tar_as_it_was(known: Truth, lists: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copies.webdataset(copies.metas(list(known.kept)[:50]), tmp_path / "copy", "00000")
    cleaned(tmp_path / "copy", lists, tmp_path / "out")
    for name in ("00000.tar", "00000_stats.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "copy" / name).read_bytes()


def test_release_keeps_only_what_it_holds(known: Truth, lists: Path, tmp_path: Path) -> None:
    rows = [*copies.some(known, 500), ("https://never.example/seen.jpg", "not of this dataset")]
    (tmp_path / "copy.jsonl").write_bytes(b"".join(_as_lines(rows, "jsonl")[1]))
    answer = shared.run("clean", tmp_path / "copy.jsonl", "--release", lists, "--out", tmp_path / "out", "--jobs", 1)
    assert answer.exit_code == 0, answer.output
    left = (tmp_path / "out" / "copy.jsonl").read_bytes()
    assert left == b"".join(_as_lines([each for each in rows if each in known.kept], "jsonl")[1])


def test_changed_captions(known: Truth, lists: Path, tmp_path: Path) -> None:
    """By link, a row goes if and only if no row of the edition has its link; the default takes these out, too."""
    rows = copies.some(known, 1_000)
    standing = {link for link, _ in known.kept}
    gone = {link for link, _ in known.removed} - standing
    changed = [(link, "a new caption") for link, _ in rows]
    (tmp_path / "copy.jsonl").write_bytes(b"".join(_as_lines(changed, "jsonl")[1]))
    for by in ("link", "either"):
        cleaned(tmp_path / "copy.jsonl", lists, tmp_path / by, "--by", by)
        left = [json.loads(line)["url"] for line in (tmp_path / by / "copy.jsonl").open()]
        assert left == [link for link, _ in changed if link not in gone]
    cleaned(tmp_path / "copy.jsonl", lists, tmp_path / "row", "--by", "row")
    assert (tmp_path / "row" / "copy.jsonl").read_bytes() == (tmp_path / "copy.jsonl").read_bytes()
