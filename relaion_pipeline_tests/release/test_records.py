"""The private record of a release: what went in, by which run it was made, and what it counted of every shard."""

import hashlib
import json
import stat
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version

import pyarrow.parquet as pq

from relaion_pipeline import settings
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import records
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline_tests.end_to_end import shared


def test_it_names_every_input_by_its_bytes(released):
    root = DataRoot.at(released.data_root)
    record = records.read(root, shared.VERSION)
    used = record.inputs
    found = {}
    for path in (root.path / "raw").glob("*/*.parquet"):
        found[f"{path.parent.name}/{path.stem}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert {name: shard.source_sha256 for name, shard in used.shards.items()} == found
    files = {name: digest for feed in used.feeds.values() for name, digest in feed.files.items()}
    lists = [path for path in (root.path / "feeds").rglob("*") if path.is_file()]
    assert files == {p.relative_to(root.path).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in lists}
    assert {name: feed.entries for name, feed in used.feeds.items()} == {
        feed["name"]: feed["entries"] for feed in shared.manifest(root.path)["feeds"]
    }
    loaded = settings.load(root.path)
    assert used.settings == loaded.deciding()
    assert used.settings["nsfw"]["research_safe_above"] == 0.45
    assert not used.settings.keys() & {"limits", "publish", "retention"}
    assert (used.settings_sha256, used.sha256) == (loaded.digest(), record.inputs_sha256)
    assert Inputs(root, loaded).sha256 == record.inputs_sha256
    assert used.waivers == []


def test_it_counts_every_shard_as_planted(released):
    root = DataRoot.at(released.data_root)
    record = records.read(root, shared.VERSION)
    union = set().union(*shared.truth(released.truth).values())
    planted = Counter(f"{subset}/{stem}" for subset, stem, _ in union)
    assert {name: counts.listed for name, counts in record.counts.items()} == {
        name: planted[name] for name in record.inputs.shards
    }
    assert sum(planted.values()) > 10
    for path in (root.path / "raw").glob("*/*.parquet"):
        counts = record.counts[f"{path.parent.name}/{path.stem}"]
        assert counts.rows == pq.read_metadata(path).num_rows
        assert counts.rows == counts.kept["research-safe"] + sum(counts.removed.values())


def test_it_says_when_and_by_what_it_was_made(released):
    root = DataRoot.at(released.data_root)
    record = records.read(root, shared.VERSION)
    age = datetime.now(UTC) - datetime.fromisoformat(record.made_at)
    assert 0 <= age.total_seconds() < 3_600
    assert len(record.run_id) == 36
    assert record.libraries["duckdb"] == version("duckdb")
    assert record.libraries["dagster"] == version("dagster")
    public = shared.manifest(root.path)
    assert public["libraries"]["pyarrow"] == version("pyarrow")
    assert "dagster" not in public["libraries"]
    assert {each.run_id for each in record.parts} == {record.run_id}
    assert record.run_id not in json.dumps(public), "a run is another each time: the same inputs give the same bytes"


def test_it_is_private(released):
    path = DataRoot.at(released.data_root).release_record(shared.VERSION)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_records_of_other_versions_of_the_package_are_read(tmp_path):
    root = DataRoot.at(tmp_path)
    path = root.release_record("2026-01-01.001")
    path.parent.mkdir(parents=True)
    path.write_text('{"version": "2026-01-01.001", "inputs_sha256": "a", "evidence_sha256": "b"}')
    old = records.read(root, "2026-01-01.001")
    assert (old.inputs_sha256, old.evidence_sha256) == ("a", "b")
    assert (old.made_at, old.run_id, old.inputs, old.libraries, old.counts) == (None, None, None, {}, {})
    assert old.parts == ()
    path.write_text('{"version": "1", "inputs_sha256": "a", "evidence_sha256": "b", "unheard_of": 1}')
    assert records.read(root, "2026-01-01.001").version == "1"
    for broken in ("", "[]", '{"version": "1"}'):
        path.write_text(broken)
        assert records.read(root, "2026-01-01.001") is None
