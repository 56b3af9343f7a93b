"""One release is one run: what runs, what is left when something fails, what runs again."""

from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from relaion_pipeline.assets import slices
from relaion_pipeline.audit import making
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import editions, lock, records, versions
from relaion_pipeline.release.records import ReleaseRecord
from relaion_pipeline.verification.gate import ALL_CHECKS
from relaion_pipeline_tests.orchestration import runs
from relaion_pipeline_tests.orchestration.conftest import Copies
from relaion_pipeline_tests.orchestration.runs import Ran

SUBSETS = ("2B-en", "2B-multi", "1B-nolang")
STAGES = ("shards", "screened", "editions", "verified")
INPUTS = {"settings", "keywords", "blocklist"} | {
    f"feeds__{name}" for name in ("iwf_images", "iwf_links", "c3p_images", "stanford_links", "hrw_links")
}
END = {"edition_set", "gate", "release", "release_published_files_are_the_verified_ones"}


def steps(subset: str, number: int, *stages: str) -> set[str]:
    return {f"{subset.replace('-', '_')}__{stage}_{number:02d}" for stage in stages or STAGES}


ALL_STEPS = INPUTS.union(
    END, {"ledger"}, *(steps(subset, number) for subset in SUBSETS for number in range(runs.SLICES))
)


def first_shard(root: DataRoot, subset: str) -> Path:
    """It belongs to slice 0: shards are cut into slices in the order of their names."""
    return min((root.path / "raw" / subset).iterdir())


def slice_of(root: DataRoot, shard: Path) -> int:
    per_slice = -(-len(list(shard.parent.iterdir())) // runs.SLICES)
    return sorted(shard.parent.iterdir()).index(shard) // per_slice


def missing(number: int) -> set[str]:
    """What is left undone when a slice of 2B-multi cannot be screened: all that needs every slice's findings."""
    later = (steps(subset, each, "editions", "verified") for subset in SUBSETS for each in range(runs.SLICES))
    return steps("2B-multi", number).union({"ledger"}, *later)


def test_the_release_job_makes_a_release_with_a_step_for_each_slice_and_stage(
    first_run: tuple[DataRoot, Ran],
) -> None:
    root, ran = first_run
    assert ran.success, ran.messages
    assert ran.done == ALL_STEPS
    (version,) = versions.released(root)
    assert versions.current(root) == root.release(version)


def test_every_check_was_evaluated_and_passed(first_run: tuple[DataRoot, Ran]) -> None:
    root, ran = first_run
    with runs.instance(root) as opened:
        found = {
            event.get_dagster_event().asset_check_evaluation_data.check_name: (
                event.get_dagster_event().asset_check_evaluation_data.passed
            )
            for event in opened.all_logs(ran.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        }
    assert found == {check.name: True for check in ALL_CHECKS} | {"published_files_are_the_verified_ones": True}


@pytest.fixture(scope="module")
def broken(sampled: DataRoot, tmp_path_factory: pytest.TempPathFactory) -> tuple[DataRoot, Path, Ran, bytes]:
    """A run with one truncated shard, with the shard and what stood in it."""
    root = runs.copy(sampled, tmp_path_factory.mktemp("broken") / "root")
    shard = first_shard(root, "2B-multi")
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    return root, shard, runs.execute(root), content


def test_a_truncated_shard_fails_its_slice_and_leaves_the_others_screened(
    broken: tuple[DataRoot, Path, Ran, bytes],
) -> None:
    root, shard, ran, _ = broken
    assert not ran.success
    assert ran.failed == steps("2B-multi", slice_of(root, shard), "shards")
    assert ran.done == ALL_STEPS - missing(slice_of(root, shard)) - END
    assert versions.released(root) == []


def test_the_failure_names_the_shard_and_is_no_traceback(broken: tuple[DataRoot, Path, Ran, bytes]) -> None:
    _, shard, ran, _ = broken
    assert ran.told(shard.stem)
    assert not ran.told("Traceback")
    assert not ran.told("unexpected")


def test_reexecution_from_failure_runs_exactly_what_is_missing(
    broken: tuple[DataRoot, Path, Ran, bytes], copy_of: Copies, released: DataRoot
) -> None:
    original, shard, failed, content = broken
    root = copy_of(original)
    (root.path / shard.relative_to(original.path)).write_bytes(content)
    again = runs.execute(root, again=failed.run_id)
    assert again.success, again.messages
    assert again.done == missing(slice_of(original, shard)) | END
    current = versions.current(root)
    reference = versions.current(released)
    assert current is not None
    assert reference is not None
    assert runs.digests(current) == runs.digests(reference)
    assert made_by(root) == expected(missing(slice_of(original, shard)), failed, again)


@pytest.mark.slow
def test_the_record_names_each_part_s_run_though_a_later_one_looked_at_all_again(
    broken: tuple[DataRoot, Path, Ran, bytes], copy_of: Copies
) -> None:
    """`relaion release` runs every step again; those that find all done have made nothing."""
    original, shard, failed, content = broken
    root = copy_of(original)
    (root.path / shard.relative_to(original.path)).write_bytes(content)
    again = runs.execute(root)
    assert again.success, again.messages
    assert again.done == ALL_STEPS
    assert made_by(root) == expected(missing(slice_of(original, shard)), failed, again)
    record = newest_record(root)
    told = [line.detail for line in making.lines(record)]
    assert record.run_id == again.run_id
    assert len(told) == 2
    assert again.run_id in told[0]
    assert failed.run_id in told[1]
    done = slice_of(original, shard)
    left = ", ".join(
        f"{subset}-{n:02d}" for subset in SUBSETS for n in range(runs.SLICES) if (subset, n) != ("2B-multi", done)
    )
    assert f"screened {left}" in told[1]
    assert "feeds, all 5" in told[1]
    assert "ledger" not in told[1]


def made_by(root: DataRoot) -> dict[str, str]:
    """Of every part of the newest release the step that makes it, and the run of which the record says so."""
    found = {}
    for each in newest_record(root).parts:
        if each.stage == "feeds":
            found[f"feeds__{each.part.replace('-', '_')}"] = each.run_id
        elif each.part is None:
            found[each.stage] = each.run_id
        else:
            subset, _, number = each.part.rpartition("-")
            (step,) = steps(subset, int(number), each.stage)
            found[step] = each.run_id
    return found


def newest_record(root: DataRoot) -> ReleaseRecord:
    record = records.read(root, versions.released(root)[-1])
    assert record is not None
    return record


def expected(later: set[str], first: Ran, second: Ran) -> dict[str, str]:
    later = later | {"edition_set"}
    return {step: (second if step in later else first).run_id for step in (ALL_STEPS - END) | {"edition_set"}}


def test_what_one_run_made_names_that_run_alone(first_run: tuple[DataRoot, Ran]) -> None:
    root, ran = first_run
    assert made_by(root) == expected(ALL_STEPS, ran, ran)
    assert [line.detail for line in making.lines(newest_record(root))][1:] == ["nothing: that run made every part"]


def test_a_failed_gate_blocks_the_release_and_leaves_the_last_one(
    released: DataRoot, copy_of: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edition that is written holds every source row, listed ones too: what a bug in screening would do."""
    root = copy_of(released)
    before = versions.released(root)
    for staged in (root.private / "editions").rglob("*"):
        if staged.is_file():
            staged.unlink()
    write = editions.write

    def write_everything(shards: list, *arguments: object) -> object:
        written = write(shards, *arguments)
        for shard in shards:
            pq.write_table(pq.read_table(shard.parquet), root.staged(shard.subset, shard.stem, editions.SAFE))
        return written

    monkeypatch.setattr(slices.editions, "write", write_everything)
    ran = runs.execute(root)
    assert not ran.success
    assert ran.failed == {"gate"}
    assert ran.done == ALL_STEPS - END | {"edition_set"}
    assert versions.released(root) == before
    with runs.instance(root) as opened:
        failed = {
            data.check_name
            for event in opened.all_logs(ran.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
            if not (data := event.get_dagster_event().asset_check_evaluation_data).passed
        }
    assert any("listed" in name for name in failed), failed


def test_materialize_all_makes_a_release_too(sampled: DataRoot, copy_of: Copies, released: DataRoot) -> None:
    root = copy_of(sampled)
    ran = runs.execute(root, runs.materialize_all)
    assert ran.success, ran.messages
    assert ran.done == ALL_STEPS
    current, reference = versions.current(root), versions.current(released)
    assert current is not None
    assert reference is not None
    assert runs.digests(current) == runs.digests(reference)


def test_one_release_at_a_time(released: DataRoot, copy_of: Copies) -> None:
    root = copy_of(released)
    process = 1  # there is always one, and it is not ours
    lock.acquire(root, lock.Holder.of_process("another-run", process), lambda _: True)
    ran = runs.execute(root, assets=[dg.AssetKey("settings")])
    assert not ran.success
    assert ran.told("run another-run is making a release")
