import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from relaion_pipeline.shards import DigestCache, ShardError, digests, schema_digest, sha256_file


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were really hashed."""
    names = []

    def counted(path):
        names.append(path.name)
        return sha256_file(path)

    monkeypatch.setattr(digests, "sha256_file", counted)
    return names


def test_file_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    with pytest.raises(ShardError, match="cannot be read"):
        sha256_file(tmp_path / "none")


def test_unchanged_files_are_hashed_once(tmp_path, read):
    (tmp_path / "a").write_text("one")
    for _ in range(2):
        cache = DigestCache(tmp_path / "private" / "digests.json")
        assert cache.sha256(tmp_path / "a") == hashlib.sha256(b"one").hexdigest()
    assert read == ["a"]
    assert stat.S_IMODE((tmp_path / "private" / "digests.json").stat().st_mode) == 0o600


def test_changes_are_seen(tmp_path, read):
    path = tmp_path / "a"
    path.write_text("one")
    cache = DigestCache(tmp_path / "digests.json")
    cache.sha256(path)
    times = path.stat()
    path.write_text("two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, inode and modification time
    assert cache.sha256(path) == hashlib.sha256(b"two").hexdigest()
    (tmp_path / "b").write_text("six")
    (tmp_path / "b").replace(path)
    assert cache.sha256(path) == hashlib.sha256(b"six").hexdigest()
    path.unlink()
    with pytest.raises(ShardError, match="cannot be read"):
        cache.sha256(path)


def test_change_while_reading_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_text("one")

    def growing(name):
        digest = sha256_file(name)
        path.write_text("one more")
        return digest

    monkeypatch.setattr(digests, "sha256_file", growing)
    with pytest.raises(ShardError, match="changed while"):
        DigestCache(tmp_path / "digests.json").sha256(path)
    assert not (tmp_path / "digests.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": [1]}'])
def test_broken_cache_only_costs_time(tmp_path, content):
    (tmp_path / "digests.json").write_text(content)
    (tmp_path / "a").write_text("one")
    assert DigestCache(tmp_path / "digests.json").sha256(tmp_path / "a") == hashlib.sha256(b"one").hexdigest()


def test_threads_share_a_cache(tmp_path):
    for number in range(60):
        (tmp_path / f"{number}").write_text(f"{number}")
    cache = DigestCache(tmp_path / "digests.json")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: cache.sha256(tmp_path / f"{n % 60}"), range(240)))
    assert found == [hashlib.sha256(f"{n % 60}".encode()).hexdigest() for n in range(240)]
    assert len(json.loads((tmp_path / "digests.json").read_text())) == 60


BASE = pa.schema([pa.field("a", pa.string(), metadata={"k": "v"}), ("b", pa.struct([("c", pa.int32())]))])


@pytest.mark.parametrize(
    "other",
    [
        pa.schema([pa.field("a", pa.string()), BASE.field("b")]),
        pa.schema([pa.field("a", pa.large_string(), metadata={"k": "v"}), BASE.field("b")]),
        pa.schema([pa.field("a", pa.string(), nullable=False, metadata={"k": "v"}), BASE.field("b")]),
        pa.schema([BASE.field("b"), BASE.field("a")]),
        pa.schema([BASE.field("a")]),
        pa.schema([BASE.field("a"), ("b", pa.struct([("C", pa.int32())]))]),
        pa.schema([BASE.field("a"), ("b", pa.struct([pa.field("c", pa.int32(), nullable=False)]))]),
    ],
)
def test_schema_digest_sees_every_difference(other):
    assert schema_digest(other) != schema_digest(BASE)


def test_schema_digest_is_stable():
    assert schema_digest(BASE) == schema_digest(BASE.with_metadata({"pandas": "{}"}))
    noted = BASE.field("a").with_metadata({"k": "v", "PARQUET:field_id": "3"})
    assert schema_digest(pa.schema([noted, BASE.field("b")])) == schema_digest(BASE)
    assert schema_digest(BASE) == "36fd0dde8bb2db13811f9095804ff43b291180ace0503b89c123a4e3063f920c"
