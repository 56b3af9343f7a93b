"""What must never happen to a copy: a file skipped in silence, deleted, half written; a removed row told of."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from relaion_pipeline import sample
from relaion_pipeline_tests.clean import copies
from relaion_pipeline_tests.clean.copies import Truth
from relaion_pipeline_tests.end_to_end import shared


@pytest.fixture(scope="module")
def known(released: sample.SampleSummary) -> Truth:
    return copies.truth(released.data_root, "research")


@pytest.fixture
def lists(released: sample.SampleSummary) -> Path:
    return shared.current(released.data_root) / "removals"


def make(known: Truth, copy: Path, shards: int = 2, rows: int = 200) -> dict[str, list[dict[str, Any]]]:
    """A copy with a tar and a folder of files by turns; stem to records."""
    copy.mkdir(parents=True)
    every = copies.some(known, shards * rows)
    made = {}
    for number in range(shards):
        records = copies.metas(every[number * rows : (number + 1) * rows], number * rows)
        (copies.webdataset, copies.files)[number % 2](records, copy, f"{number:05d}")
        made[f"{number:05d}"] = records
    return made


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and ".relaion-clean" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != "clean-report.json"}


def run(copy: Path, lists: Path, *more: object) -> Any:
    return shared.run("clean", copy, "--removals", lists, "--jobs", 1, *more)


def test_in_place_is_what_a_clean_copy_is(known: Truth, lists: Path, tmp_path: Path) -> None:
    make(known, tmp_path / "copy")
    before = content(tmp_path / "copy")
    assert run(tmp_path / "copy", lists, "--out", tmp_path / "out").exit_code == 0
    assert content(tmp_path / "copy") == before
    assert run(tmp_path / "copy", lists, "--dry-run").exit_code == 0
    assert content(tmp_path / "copy") == before
    assert not (tmp_path / "copy" / ".relaion-clean").exists()
    assert run(tmp_path / "copy", lists, "--in-place").exit_code == 0
    assert content(tmp_path / "copy") == content(tmp_path / "out") != before


def test_what_is_done_is_not_done_again(known: Truth, lists: Path, tmp_path: Path) -> None:
    make(known, tmp_path / "copy")
    for where in (["--out", tmp_path / "out"], ["--in-place"]):
        assert run(tmp_path / "copy", lists, *where).exit_code == 0
        folder = tmp_path / "out" if where[0] == "--out" else tmp_path / "copy"
        times = {path: path.stat().st_mtime_ns for path in folder.glob("0*")}
        report = (folder / "clean-report.json").read_text()
        assert run(tmp_path / "copy", lists, *where).exit_code == 0
        assert {path: path.stat().st_mtime_ns for path in folder.glob("0*")} == times
        assert (folder / "clean-report.json").read_text() == report
    # Another edition's lists are other work.
    assert run(tmp_path / "copy", lists, "--in-place", "--edition", "research-safe").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "copy").glob("0*")} != times


@pytest.mark.slow
def test_killed_in_place_at_any_moment(known: Truth, lists: Path, tmp_path: Path) -> None:
    """After kill -9 every file is whole, old or new; the next run ends where one that was let alone ends."""
    stems = make(known, tmp_path / "copy", shards=24, rows=60)
    subprocess.run(["cp", "-a", tmp_path / "copy", tmp_path / "whole"], check=True)
    assert run(tmp_path / "whole", lists, "--in-place").exit_code == 0
    after, before = content(tmp_path / "whole"), content(tmp_path / "copy")
    killed = 0
    for delay in range(8):
        started = shared.start("clean", tmp_path / "copy", "--removals", lists, "--in-place", "--jobs", 1)
        state = tmp_path / "copy" / ".relaion-clean"
        done = len(list(state.glob("*.json")))
        while started.poll() is None and len(list(state.glob("*.json"))) <= done:
            time.sleep(0.001)
        time.sleep(0.003 * delay)
        started.kill()
        killed += started.wait() == -signal.SIGKILL
        now = content(tmp_path / "copy")
        assert all(each in (before.get(name), after.get(name)) for name, each in now.items())
        assert set(after) <= set(now) <= set(before)
        if len(list(state.glob("*.json"))) == len(stems):
            break
    assert killed > 2
    assert run(tmp_path / "copy", lists, "--in-place").exit_code == 0
    assert content(tmp_path / "copy") == after


def test_a_journal_is_finished_by_the_next_run(
    known: Truth, lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the renames of one unit: tar new, table and statistics old."""
    make(known, tmp_path / "copy", shards=1)
    assert run(tmp_path / "copy", lists, "--out", tmp_path / "out").exit_code == 0
    real, calls = Path.replace, []

    def crash(self: Path, target: Path) -> Path:
        if target.parent == tmp_path / "copy":
            calls.append(target)
            if len(calls) == 2:
                raise SystemExit(9)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", crash)
    assert run(tmp_path / "copy", lists, "--in-place").exit_code == 9
    monkeypatch.undo()
    assert content(tmp_path / "copy") != content(tmp_path / "out")
    assert run(tmp_path / "copy", lists, "--in-place").exit_code == 0
    assert content(tmp_path / "copy") == content(tmp_path / "out")


def damage(name: str, path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(
        {
            "short": whole[: len(whole) // 2],
            "header": whole[:100] + b"x" + whole[101:],
            "no end": whole.rstrip(b"\0"),
            "hung on": whole + whole,
            "empty": b"",
        }[name]
    )


@pytest.mark.parametrize("name", ["short", "header", "no end", "hung on", "empty"])
@pytest.mark.parametrize("where", ["--in-place", "--out"])
def test_a_damaged_tar_is_named_and_left(known: Truth, lists: Path, tmp_path: Path, name: str, where: str) -> None:
    make(known, tmp_path / "copy")
    damage(name, tmp_path / "copy" / "00000.tar")
    before = content(tmp_path / "copy")
    answer = run(tmp_path / "copy", lists, where, *([tmp_path / "out"] if where == "--out" else []))
    assert answer.exit_code == 1
    assert "00000.tar" in answer.output
    after = content(tmp_path / "copy")
    assert {each: after[each] for each in after if each.startswith("00000")} == {
        each: before[each] for each in before if each.startswith("00000")
    }
    folder = tmp_path / "copy" if where == "--in-place" else tmp_path / "out"
    assert len(json.loads((folder / "clean-report.json").read_text())["failures"]) == 1
    assert where == "--in-place" or not list((tmp_path / "out").glob("00000*"))
    assert len(content(folder)) < len(before)  # the other unit is clean


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "url\tcaption\nhttps://a.example/1.jpg\tone\ttoo many\n"),
        ("a.csv", 'url,caption\nhttps://a.example/1.jpg,"open\n'),
        ("a.jsonl", '{"url": "https://a.example/1.jpg", "caption": "x"}\n{"url": \n'),
        ("a.jsonl", '{"url": "https://a.example/1.jpg", "caption": "x"}\n{"url": 5, "caption": ""}\n'),
        ("a.parquet", "PAR1 nothing"),
        ("a.csv.gz", "not gzip"),
        ("notes.md", "who knows what this holds"),
        ("a.tar.gz", "packed"),
        ("a.csv", "number,colour\n1,red\n"),
    ],
)
def test_what_cannot_be_read_is_named(lists: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / name).write_text(text)
    answer = run(tmp_path / "copy", lists, "--in-place")
    assert answer.exit_code == 1
    assert name in answer.output
    assert "a.example" not in answer.output
    assert (tmp_path / "copy" / name).read_text() == text


def test_a_sample_without_link_is_an_error(lists: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with tarfile.open(tmp_path / "copy" / "0.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("0001.jpg"), io.BytesIO())
    answer = run(tmp_path / "copy", lists, "--in-place")
    assert answer.exit_code == 1
    assert "0.tar" in answer.output


def test_members_in_any_order_and_long_names(known: Truth, lists: Path, tmp_path: Path) -> None:
    """All images first, then all JSON; names too long for a header, in PAX and in GNU's way; folders stay."""
    (tmp_path / "copy").mkdir()
    records = [each for each in copies.metas(copies.some(known, 100)) if each["status"] == "success"]
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = tmp_path / "copy" / f"{form}.tar"
        with tarfile.open(path, "w", format=form) as tar:
            folder = tarfile.TarInfo("d" * 120)
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            for ending in ("jpg", "seg.png", "json"):
                for meta in records:
                    body = copies.sample(meta)["json" if ending == "json" else "jpg"]
                    info = tarfile.TarInfo(f"{'d' * 120}/{meta['key']}.{ending}")
                    info.size = len(body)
                    tar.addfile(info, io.BytesIO(body))
        assert run(path, lists, "--out", tmp_path / "out").exit_code == 0
        keys = {each["key"] for each in records if (each["url"], each["caption"]) in known.kept}
        expected = {
            name: body
            for name, body in copies.tar_members(path).items()
            if name == "d" * 120 or name.rpartition("/")[2].partition(".")[0] in keys
        }
        assert list(copies.tar_members(tmp_path / "out" / path.name).items()) == list(expected.items())
        assert len(expected) == 1 + 3 * len(keys)


def test_parallel_is_the_same(known: Truth, lists: Path, tmp_path: Path) -> None:
    make(known, tmp_path / "copy", shards=4)
    assert run(tmp_path / "copy", lists, "--out", tmp_path / "one").exit_code == 0
    answer = shared.run("clean", tmp_path / "copy", "--removals", lists, "--out", tmp_path / "two", "--jobs", 2)
    assert answer.exit_code == 0
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert (tmp_path / "one/clean-report.json").read_text() == (tmp_path / "two/clean-report.json").read_text()


def test_nothing_of_what_was_removed_is_told(known: Truth, lists: Path, tmp_path: Path) -> None:
    make(known, tmp_path / "copy")
    answer = run(tmp_path / "copy", lists, "--in-place")
    told = answer.output + "".join(
        path.read_text() for path in tmp_path.rglob("*.json") if ".relaion-clean" in path.parts or "report" in path.name
    )
    assert not [link for link, _ in known.removed if link and link in told]


def test_needs_only_the_base(known: Truth, lists: Path, tmp_path: Path) -> None:
    """Where neither Dagster nor Great Expectations nor other extras can be imported, it cleans."""
    make(known, tmp_path / "copy")
    blocked = ("dagster", "great_expectations", "pandas", "matplotlib", "mlcroissant", "datasets")
    code = f"""
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refused())
from relaion_pipeline.cli import main
main()
"""
    command = [sys.executable, "-c", code, "clean", tmp_path / "copy", "--removals", lists, "--out", tmp_path / "out"]
    command += ["--jobs", "1"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert answer.returncode == 0, answer.stderr
    assert pq.read_metadata(tmp_path / "out" / "00000.parquet").num_rows > 0


def test_out_must_lie_outside(lists: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("url\tcaption\nhttps://a.example/1.jpg\tone\n")
    for copy, out in ((tmp_path, tmp_path / "out"), (tmp_path, tmp_path), (tmp_path / "a.tsv", tmp_path)):
        assert run(copy, lists, "--out", out).exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]
