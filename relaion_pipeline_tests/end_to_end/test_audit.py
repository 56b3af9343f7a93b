"""Tampering with a release, its inputs or what the data root keeps of it: `relaion audit` finds it, and says where."""

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import relaion_pipeline
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.provenance import code_version
from relaion_pipeline.release import records
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.end_to_end.test_break_it import in_place, make_consistent, renew_checksums

SUBSET = "2B-en"


@pytest.fixture
def root(copied) -> DataRoot:
    return copied()


def stems(root: DataRoot) -> list[str]:
    return [stem for subset, stem, _ in shared.sources(root.path) if subset == SUBSET]


def audit(root: DataRoot, *options: object):
    """Exit status, and the failed lines by the heading they stand under."""
    outcome = shared.run("audit", "--data", root.path, *options)
    failed: dict[str, list[str]] = {}
    heading = ""
    for line in outcome.output.splitlines():
        if line and not line.startswith(" "):
            heading = line.strip()
        elif line.strip().startswith("FAILED"):
            failed.setdefault(heading, []).append(" ".join(line.split()).removeprefix("FAILED "))
    return outcome, failed


def test_an_untouched_release_passes(root):
    outcome, failed = audit(root, "--recompute", "all")
    assert outcome.exit_code == 0, outcome.output
    assert failed == {}
    assert "The audit passed." in outcome.output
    assert outcome.output.count("the same bytes") == len(list(shared.sources(root.path)))
    page = root.audit_page(shared.VERSION)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    text = page.read_text(encoding="utf-8")
    assert "The audit passed." in text
    assert not re.search(r"<script|src=|href=\"http|url\(", text)
    assert not any((root.private / "temporary").rglob("audit"))


@pytest.mark.slow
def test_a_seed_draws_the_same_shards_and_others_others(root):
    def drawn(seed):
        outcome, _ = audit(root, "--recompute", 2, "--seed", seed)
        assert outcome.exit_code == 0, outcome.output
        found = re.findall(r"ok\s+(\S+/\S+)\s+the same bytes", outcome.output)
        assert len(found) == 2
        return found

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(4)}) > 1


def swap_first_rows(root: DataRoot) -> list[str]:
    """The first rows of two shards change places, and manifest and checksums agree with that."""
    named = stems(root)[:2]
    first, second = (root.current.resolve() / "research-safe" / SUBSET / f"{stem}.parquet" for stem in named)
    one, two = pq.ParquetFile(first).read(), pq.ParquetFile(second).read()
    in_place(first, lambda path: pq.write_table(pa.concat_tables([two.slice(0, 1), one.slice(1)]), path))
    in_place(second, lambda path: pq.write_table(pa.concat_tables([one.slice(0, 1), two.slice(1)]), path))
    make_consistent(root.current.resolve())
    return named


def alter_one_value(root: DataRoot) -> list[str]:
    stem = stems(root)[1]

    def alter(path: Path) -> None:
        table = pq.ParquetFile(path).read()
        at = table.schema.get_field_index("WIDTH")
        width = table["WIDTH"].to_pylist()
        width[7] += 1
        pq.write_table(table.set_column(at, table.schema.field(at), pa.array(width, pa.int32())), path)

    in_place(root.current.resolve() / "research-safe" / SUBSET / f"{stem}.parquet", alter)
    make_consistent(root.current.resolve())
    return [stem]


@pytest.mark.parametrize("tamper", [pytest.param(swap_first_rows, marks=pytest.mark.slow), alter_one_value])
def test_rows_moved_or_altered_by_a_careful_forger(root, tamper):
    named = tamper(root)
    outcome, failed = audit(root, "--recompute", "all")
    assert outcome.exit_code == 1
    for heading in ("Chain of custody", "Recomputation from source"):
        assert [line.partition(" ")[0] for line in failed[heading]] == [f"{SUBSET}/{stem}" for stem in named], heading
    assert [line for line in failed["Proof against lists and source"] if line.startswith("kept values unchanged")]
    assert [line for line in failed["Files"] if line.startswith("signature is of the key")]
    assert [line for line in failed["Files"] if line.startswith("lineage is that of the manifest")]
    assert "Row counts" not in failed


def test_a_shard_replaced(root):
    stem = stems(root)[0]
    path = root.path / "raw" / SUBSET / f"{stem}.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table.slice(1), table.slice(0, 1)]), path)
    outcome, failed = audit(root)
    assert outcome.exit_code == 1
    (line,) = failed["Chain of custody"]
    assert line.startswith(f"{SUBSET}/{stem} its source file is not the one of manifest.json")
    assert [line for line in failed["Inputs"] if f"1 shard of {SUBSET} replaced: {stem}" in line]


@pytest.mark.slow
def test_a_shard_taken_away(root):
    stem = stems(root)[0]
    (root.path / "raw" / SUBSET / f"{stem}.parquet").unlink()
    outcome, failed = audit(root)
    assert outcome.exit_code == 1
    assert failed["Chain of custody"][0].startswith(f"{SUBSET}/{stem} its source file is missing")


def test_a_feed_edited_after_the_fact(root):
    """The new entry matches no row: only the list's digest tells."""
    with (root.path / "feeds" / "hrw" / "links.txt").open("a", encoding="utf-8") as file:
        file.write("https://nobody.example/lists/this\n")
    outcome, failed = audit(root)
    assert outcome.exit_code == 1
    (line,) = failed["Inputs"]
    assert "feed 'hrw-links'" in line
    assert "nobody.example" not in outcome.output
    assert "Proof against lists and source" not in failed


def test_a_verdict_file_removed(root):
    stem = stems(root)[2]
    root.verdicts(SUBSET, stem).unlink()
    outcome, failed = audit(root)
    assert outcome.exit_code == 1
    assert failed["Chain of custody"] == [f"{SUBSET}/{stem} its verdicts are missing"]


@pytest.mark.slow
def test_verdicts_that_were_edited(root):
    """One row's verdict less: the header still says what it said."""
    stem = stems(root)[2]
    path = root.verdicts(SUBSET, stem)
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    outcome, failed = audit(root)
    assert outcome.exit_code == 1
    assert failed["Chain of custody"][0].startswith(f"{SUBSET}/{stem} its verdicts are not as many")


CHANGES = {
    "removed: unsafe": lambda m: m["subsets"][SUBSET]["removed"].update(unsafe=1),
    "rows of research": lambda m: m["subsets"][SUBSET]["kept"].update(research=7),
    "listed by c3p-images": lambda m: m["subsets"][SUBSET]["listed_by_feed"].update({"c3p-images": 0}),
    "not screened by image": lambda m: m["subsets"][SUBSET].update(not_screened_by_image=0),
    "totals are the sums of the subsets": lambda m: m["total"].update(rows=7),
}
SLOW = [pytest.param(told, marks=pytest.mark.slow) for told in list(CHANGES)[1:]]


@pytest.mark.parametrize("told", [next(iter(CHANGES)), *SLOW])
def test_a_number_of_the_manifest_changed(root, told):
    path = root.current.resolve() / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    CHANGES[told](content)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    renew_checksums(root.current.resolve())
    outcome, failed = audit(root)
    assert outcome.exit_code == 1
    assert [line for line in failed["Row counts"] if line.removeprefix(f"{SUBSET}: ").startswith(told)], failed
    assert [line for line in failed["Files"] if line.startswith("signature is of the key")]


@pytest.mark.slow
def test_a_threshold_or_a_waiver_of_the_manifest_changed(root):
    path = root.current.resolve() / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["nsfw"]["research_above"] = 0.99
    waiver = {"kind": "unanswerable-feed", "feed": "hrw-links", "subset": None, "entry": None, "reason": "x", "by": "y"}
    content["waivers"].append(waiver)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _, failed = audit(root)
    (line,) = failed["Inputs"]
    assert "thresholds of manifest.json are not the record's" in line
    assert "waivers of manifest.json are not the record's" in line


@pytest.mark.slow
def test_evidence_edited_and_the_record_removed(root):
    stem = stems(root)[0]
    path = root.evidence(SUBSET, stem)
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"listed_in_research": 1}), encoding="utf-8")
    outcome, failed = audit(root)
    assert outcome.exit_code == 1
    assert failed["Gate"][0].startswith("evidence is what the release was made on it was changed")
    root.release_record(shared.VERSION).unlink()
    outcome, failed = audit(root)
    assert outcome.exit_code == 1
    assert failed["Inputs"][0].startswith("private record")


@pytest.mark.slow
def test_a_release_built_by_other_code(root, tmp_path):
    """First honestly: the code is named. Then its makers lie about the code: made again, the files are others."""
    package = Path(relaion_pipeline.__file__).parent
    shutil.copytree(package, tmp_path / "other" / "relaion_pipeline")
    other = tmp_path / "other" / "relaion_pipeline" / "screening" / "keywords.py"
    text = other.read_text(encoding="utf-8")
    assert "def hit(self, text: str | None) -> bool:" in text
    other.write_text(text.replace("def hit(", "def hit(self, text): return True\n    def _hit("), encoding="utf-8")
    command = [*shared.COMMAND, "release", "--data", str(root.path), "--version", "2026-01-03.001"]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    outcome, failed = audit(root)
    assert outcome.exit_code == 1
    record = records.read(root, "2026-01-03.001")
    assert record is not None
    assert record.inputs is not None
    theirs = record.inputs.code_version
    assert f"code: {theirs} -> {code_version()}; use the code that made it" in failed["Inputs"][0]

    lied = record.inputs.model_copy(update={"code_version": code_version()})
    records.write(record.model_copy(update={"inputs": lied, "inputs_sha256": lied.sha256}), root)
    path = root.current.resolve() / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace(theirs, code_version()), encoding="utf-8")
    outcome, failed = audit(root, "--recompute", "all")
    assert outcome.exit_code == 1
    assert "Inputs" not in failed
    assert len(failed["Recomputation from source"]) == len(list(shared.sources(root.path)))
    assert "other bytes than the release's" in failed["Recomputation from source"][0]


@pytest.mark.slow
def test_an_older_release_is_audited_as_far_as_it_can_be(root):
    """What later releases changed is told as that, and fails nothing; a forged file of the old release still does."""
    with (root.path / "keywords.txt").open("a", encoding="utf-8") as file:
        file.write("another\n")
    assert shared.release(root.path, version="2026-01-03.001").exit_code == 0
    outcome, _ = audit(root, "--recompute", "1")
    assert outcome.exit_code == 0, outcome.output
    assert "keyword file changed" in outcome.output  # the cause, in the history
    outcome = shared.run("audit", shared.VERSION, "--data", root.path, "--recompute", "1")
    assert outcome.exit_code == 0, outcome.output
    assert "not known" in outcome.output
    path = root.release(shared.VERSION) / "research-safe" / SUBSET / f"{stems(root)[0]}.parquet"
    in_place(path, lambda copy: pq.write_table(pq.ParquetFile(path).read().slice(1), copy))
    outcome = shared.run("audit", shared.VERSION, "--data", root.path)
    assert outcome.exit_code == 1
    assert f"{SUBSET}/{stems(root)[0]}" in outcome.output
