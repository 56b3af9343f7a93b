import errno
import hashlib
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline.shards import Shard, ShardError, as_parquet


def scores(folder: Path, values, name="punsafe", kind=None, group=1 << 20) -> Path:
    path = folder / "scores.parquet"
    pq.write_table(pa.table({name: pa.array(values, kind), "other": ["x"] * len(values)}), path, row_group_size=group)
    return path


@pytest.fixture
def text_shard(shard):
    return lambda rows, sidecar: shard("a.tsv", b"url\tcaption\n" + b"http://a/\tx\n" * rows, sidecar)


def test_parquet_stays_where_it_is(tmp_path):
    pq.write_table(pa.table({"url": ["a"]}), tmp_path / "a.parquet")
    shard = Shard("s", "a", tmp_path / "a.parquet")
    assert as_parquet(shard, None, "auto", tmp_path / "out.parquet") == shard.path
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("rows", [0, 1, 50_000])
@pytest.mark.parametrize("group", [999, 1 << 20])
def test_scores_become_the_last_column(text_shard, tmp_path, rows, group):
    values = [None if n % 7 == 0 else n / 50_000 for n in range(rows)]
    sidecar = scores(tmp_path, values, kind=pa.float32(), group=group)
    table = pq.read_table(as_parquet(text_shard(rows, sidecar), True, "auto", tmp_path / "out.parquet"))
    assert table.schema.names == ["url", "caption", "punsafe"]
    assert table.schema.types[-1] == pa.float32()
    assert table.column("punsafe").to_pylist() == pa.array(values, pa.float32()).to_pylist()


def test_scores_of_a_parquet_shard(tmp_path):
    source = pa.table({"url": pa.array(["a", None, "c"]).dictionary_encode(), "k": [{"x": [1]}, None, {"x": []}]})
    pq.write_table(source, tmp_path / "a.parquet")
    shard = Shard("s", "a", tmp_path / "a.parquet", scores(tmp_path, [0.1, None, 0.3]))
    table = pq.read_table(as_parquet(shard, None, "auto", tmp_path / "out" / "a.parquet"))
    assert table.drop(["punsafe"]).equals(source)
    assert table.column("punsafe").to_pylist() == [0.1, None, 0.3]


@pytest.mark.parametrize("count", [0, 9, 11, 30_000])
def test_another_number_of_scores(text_shard, tmp_path, count):
    with pytest.raises(ShardError, match="another number of rows"):
        as_parquet(
            text_shard(10, scores(tmp_path, [0.5] * count, kind=pa.float64())), None, "auto", tmp_path / "out.parquet"
        )
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("count", [19_999, 20_001])
def test_another_number_of_scores_at_a_batch_border(text_shard, tmp_path, count):
    with pytest.raises(ShardError, match="another number of rows"):
        as_parquet(
            text_shard(20_000, scores(tmp_path, [0.5] * count, group=16_384)), None, "auto", tmp_path / "o.parquet"
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": [0.5], "name": "score"}, "needs one column 'punsafe'; columns found: score, other"),
        ({"values": ["0.5"]}, "scores are numbers"),
    ],
)
def test_unfit_scores(text_shard, tmp_path, arguments, message):
    with pytest.raises(ShardError, match=message):
        as_parquet(text_shard(1, scores(tmp_path, **arguments)), None, "auto", tmp_path / "out.parquet")


def test_scores_for_a_shard_that_has_some(shard, tmp_path):
    scored = shard("a.csv", b"url,caption,PUNSAFE\nhttp://a/,x,0.5\n", scores(tmp_path, [0.5]))
    with pytest.raises(ShardError, match="has a column 'punsafe' already"):
        as_parquet(scored, True, "auto", tmp_path / "out.parquet")


def test_full_disk_leaves_nothing(text_shard, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(ShardError, match=r"a\.tsv.*cannot be written: No space left"):
        as_parquet(text_shard(10, None), None, "auto", tmp_path / "out" / "a.parquet")
    assert not list((tmp_path / "out").iterdir())


def test_broken_scores(text_shard, tmp_path):
    (tmp_path / "scores.parquet").write_bytes(b"PAR1nonsensePAR1")
    with pytest.raises(ShardError, match=r"scores\.parquet.*not readable as Parquet"):
        as_parquet(text_shard(1, tmp_path / "scores.parquet"), None, "auto", tmp_path / "out.parquet")


def test_rendering_is_private_and_repeatable(text_shard, tmp_path):
    digests = set()
    for name in ("one", "two"):
        path = as_parquet(
            text_shard(300_000, scores(tmp_path, [0.5] * 300_000)), None, "auto", tmp_path / name / "a.parquet"
        )
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
