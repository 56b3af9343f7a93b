"""Break it: whatever is changed in a release that was made, something notices and says what."""

import hashlib
import json
import shutil
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import launch
from relaion_pipeline.assets import graph
from relaion_pipeline.definitions import build_defs
from relaion_pipeline.jobs import RELEASE_JOB
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.end_to_end import shared

SUBSET = "2B-en"


@pytest.fixture
def root(copied) -> DataRoot:
    return copied()


@pytest.fixture
def listed_row(released) -> tuple[str, int]:
    """Stem and row number of a row of 2B-en that some list names."""
    rows = sorted(set().union(*shared.truth(released.truth).values()))
    subset, stem, row = next(each for each in rows if each[0] == SUBSET)
    assert subset == SUBSET
    return stem, row


def failed_checks(output: str) -> str:
    """The lines of `relaion verify` about what failed."""
    return "\n".join(line for line in output.split("\n") if "FAILED" in line)


def assert_verify_fails(root: DataRoot, *named: str) -> None:
    outcome = shared.verify(root.path)
    assert outcome.exit_code == 1, outcome.output
    told = failed_checks(outcome.output) or outcome.output
    for each in named:
        assert each in told


def put_back(path: Path, root: DataRoot, stem: str, row: int) -> None:
    """Rewrite a published file with a row that the lists name, in the place of its first row; the row count stays."""
    source = pq.read_table(root.path / "raw" / SUBSET / f"{stem}.parquet")
    kept = pq.ParquetFile(path).read()
    replaced = pa.concat_tables([source.slice(row, 1), kept.slice(1)])
    pq.write_table(replaced, path)


def in_place(path: Path, change) -> None:
    """Let `change` rewrite a copy of `path`, and give the file itself, whatever links to it, the copy's bytes."""
    copy = path.with_name("copy.parquet")
    shutil.copyfile(path, copy)
    change(copy)
    path.write_bytes(copy.read_bytes())
    copy.unlink()


def apart(path: Path) -> Path:
    """Replace a file by a copy of itself that no other name leads to."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    return path


def make_consistent(release: Path) -> None:
    """Recompute every digest, size and row count in manifest and checksums: what a careful forger would do."""
    path = release / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for each in content["files"]:
        data = (release / each["path"]).read_bytes()
        each["sha256"], each["bytes"] = hashlib.sha256(data).hexdigest(), len(data)
        each["rows"] = pq.read_metadata(release / each["path"]).num_rows
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    renew_checksums(release)


def renew_checksums(release: Path) -> None:
    names = sorted(p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file())
    lines = [f"{hashlib.sha256((release / n).read_bytes()).hexdigest()}  {n}\n" for n in names if n != "SHA256SUMS"]
    (release / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def safe_file(root: DataRoot, stem: str, edition: str = "research-safe") -> Path:
    return root.current.resolve() / edition / SUBSET / f"{stem}.parquet"


def test_verify_passes_untouched_copies(root):
    outcome = shared.verify(root.path)
    assert outcome.exit_code == 0, outcome.output
    assert "All 18 checks passed" in outcome.output


def test_a_listed_row_put_back(root, listed_row):
    stem, row = listed_row
    path = apart(safe_file(root, stem))
    put_back(path, root, stem, row)
    assert_verify_fails(root, f"research-safe/{SUBSET}/{stem}.parquet", "files are those of manifest and checksums")


def test_a_listed_row_put_back_by_a_careful_forger(root, listed_row):
    """Both editions and all digests agree: only holding the rows against the lists and the source can tell."""
    stem, row = listed_row
    in_place(safe_file(root, stem), lambda path: put_back(path, root, stem, row))
    make_consistent(root.current.resolve())
    told = ("no listed row in research", "no listed row in research safe", "kept values unchanged")
    assert_verify_fails(root, *told)
    assert "files are those of manifest" not in failed_checks(shared.verify(root.path).output)


def run_again(root: DataRoot, monkeypatch, assets: list[dg.AssetKey]) -> dg.ExecuteInProcessResult:
    """Run part of the release job on the data root's own instance, as the UI does."""
    monkeypatch.setenv("DAGSTER_HOME", str(launch.prepare_home(root)))
    job = build_defs(root).resolve_job_def(RELEASE_JOB)
    with dg.DagsterInstance.get() as instance:
        return job.execute_in_process(instance=instance, asset_selection=assets, raise_on_error=False)


def outcomes(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


def test_the_gate_and_the_check_fail_and_nothing_is_released(root, listed_row, monkeypatch):
    stem, row = listed_row
    path = safe_file(root, stem)
    assert path.stat().st_ino == root.staged(SUBSET, stem, "safe").stat().st_ino
    in_place(path, lambda copy: put_back(copy, root, stem, row))
    before = shared.tree_digest(root.releases)

    verified = [graph.Slice(name, 0).key("verified") for name in ("2B-en", "2B-multi", "1B-nolang")]
    result = run_again(root, monkeypatch, [*verified, graph.EDITION_SET, graph.RELEASE])
    assert not result.success
    checks = outcomes(result)
    failed = {name for name, passed in checks.items() if not passed}
    assert failed >= {"no_listed_row_in_research", "no_listed_row_in_research_safe", "kept_values_unchanged"}
    assert checks["every_shard_once"]
    assert checks["no_very_unsafe_row_with_keyword"]
    assert not result.get_step_success_events() or "release" not in {
        event.step_key for event in result.get_step_success_events()
    }
    assert shared.tree_digest(root.releases) == before

    alone = run_again(root, monkeypatch, [graph.RELEASE])
    assert not alone.success, "the release must refuse by itself, whatever ran before it"
    assert shared.tree_digest(root.releases) == before


def test_the_published_files_check_fails(root, listed_row, monkeypatch):
    stem, row = listed_row
    name = "published_files_are_the_verified_ones"
    assert outcomes(run_again(root, monkeypatch, [graph.RELEASE]))[name]
    put_back(apart(safe_file(root, stem, "research")), root, stem, row)
    result = run_again(root, monkeypatch, [graph.RELEASE])
    assert outcomes(result)[name] is False
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == name]
    assert f"research/{SUBSET}/{stem}.parquet" in str(found.metadata["differences"].value)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("at", [5_000, -200, -2])
def test_a_flipped_byte(root, listed_row, at):
    stem, _ = listed_row
    flip(safe_file(root, stem), at)
    assert_verify_fails(root, f"{SUBSET}/{stem}.parquet")


def test_a_missing_file(root, listed_row):
    stem, _ = listed_row
    safe_file(root, stem, "research").unlink()
    assert_verify_fails(root, f"{SUBSET}/{stem}.parquet")


def test_a_surplus_file(root, listed_row):
    stem, _ = listed_row
    shutil.copyfile(root.path / "raw" / SUBSET / f"{stem}.parquet", safe_file(root, "surplus"))
    assert_verify_fails(root, f"research-safe/{SUBSET}/surplus.parquet")


def test_a_surplus_file_in_the_checksums(root, listed_row):
    stem, _ = listed_row
    shutil.copyfile(root.path / "raw" / SUBSET / f"{stem}.parquet", safe_file(root, "surplus"))
    renew_checksums(root.current.resolve())
    assert_verify_fails(root, f"research-safe/{SUBSET}/surplus.parquet")


def test_a_manifest_of_other_sources(root):
    path = root.current.resolve() / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["shards"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    renew_checksums(root.current.resolve())
    assert_verify_fails(root, "source shards are those of the manifest")


def test_changed_checksums(root):
    path = root.current.resolve() / "SHA256SUMS"
    text = path.read_text(encoding="utf-8")
    path.write_text(("1" if text[0] == "0" else "0") + text[1:], encoding="utf-8")
    assert_verify_fails(root, f"{text.partition(chr(10))[0].partition('  ')[2]}: its bytes are not those of SHA256SUMS")


def test_one_altered_value(root, listed_row):
    """A kept row's width is one more, and every digest in the release agrees with that."""
    stem, _ = listed_row

    def alter(path: Path) -> None:
        table = pq.ParquetFile(path).read()
        at = table.schema.get_field_index("WIDTH")
        width = table["WIDTH"].to_pylist()
        width[7] += 1
        pq.write_table(table.set_column(at, table.schema.field(at), pa.array(width, pa.int32())), path)

    in_place(safe_file(root, stem), alter)
    make_consistent(root.current.resolve())
    assert_verify_fails(root, "kept values unchanged")
    assert "files are those of manifest" not in failed_checks(shared.verify(root.path).output)


def test_rows_moved_between_shards(root):
    """The first rows of two shards change places: the release as a whole still holds the same rows."""
    first, second = sorted((root.current.resolve() / "research-safe" / SUBSET).glob("*.parquet"))[:2]
    one, two = pq.ParquetFile(first).read(), pq.ParquetFile(second).read()
    in_place(first, lambda path: pq.write_table(pa.concat_tables([two.slice(0, 1), one.slice(1)]), path))
    in_place(second, lambda path: pq.write_table(pa.concat_tables([one.slice(0, 1), two.slice(1)]), path))
    make_consistent(root.current.resolve())
    assert_verify_fails(root, "kept values unchanged")


def test_a_row_of_research_moved_into_research_safe(root, listed_row):
    stem, _ = listed_row
    extra_path = root.current.resolve() / "research" / SUBSET / f"{stem}.extra.parquet"
    extra = pq.ParquetFile(extra_path).read()
    path = safe_file(root, stem)
    table = pq.ParquetFile(path).read()
    in_place(path, lambda copy: pq.write_table(pa.concat_tables([table, extra.slice(0, 1)]), copy))
    in_place(extra_path, lambda copy: pq.write_table(extra.slice(1), copy))
    make_consistent(root.current.resolve())
    assert_verify_fails(root, "safe")


def test_a_new_entry_in_a_list(root):
    """A release is proved against the lists as they are now."""
    table = pq.ParquetFile(min((root.current.resolve() / "research-safe" / SUBSET).glob("*.parquet"))).read()
    link = next(each for each in table["URL"].to_pylist() if each.isascii() and " " not in each)
    with (root.path / "feeds" / "hrw" / "links.txt").open("a", encoding="utf-8") as file:
        file.write(f"{link}\n")
    outcome = shared.verify(root.path)
    assert outcome.exit_code == 1
    assert "no listed row in research" in failed_checks(outcome.output)
    assert link not in outcome.output
