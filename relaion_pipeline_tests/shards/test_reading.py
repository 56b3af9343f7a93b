import os
import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline.shards import ShardError, batches, open_parquet

CANARY = "cAnArY"


@pytest.fixture(scope="module")
def table():
    n = 5_000
    return pa.table(
        {
            "url": [f"http://{CANARY}/{i}" for i in range(n)],
            "tag": pa.array([["a", "b", None][i % 3] for i in range(n)]).dictionary_encode(),
            "nested": [[{"x": i}] for i in range(n)],
            "score": np.arange(n) / n,
        }
    )


def rows(path, **options):
    return pa.Table.from_batches(list(batches(path, **options)))


def check_silent(error):
    assert CANARY not in str(error.value)
    assert "fetch it again" in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


@pytest.mark.parametrize("rows_per_batch", [1, 777, 131_072])
def test_rows_come_in_order_whatever_the_batches(table, tmp_path, rows_per_batch):
    small = table.slice(0, 900)
    pq.write_table(small, tmp_path / "a.parquet", row_group_size=400)
    assert rows(tmp_path / "a.parquet", rows_per_batch=rows_per_batch).equals(small)


def test_some_columns_only(table, tmp_path):
    pq.write_table(table, tmp_path / "a.parquet")
    assert (
        rows(tmp_path / "a.parquet", columns=["score", "url"]).to_pydict() == table.select(["url", "score"]).to_pydict()
    )


def test_no_rows(table, tmp_path):
    pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    assert sum(batch.num_rows for batch in batches(tmp_path / "a.parquet")) == 0


@pytest.mark.parametrize("share", [0, 0.0001, 0.1, 0.5, 0.9, 0.999, 0.99999])
def test_truncated(table, tmp_path, share):
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ShardError, match=r"a\.parquet") as error:
        rows(path)
    check_silent(error)


def test_middle_missing(table, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=1_000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 100 :])
    with pytest.raises(ShardError) as error:
        rows(path)
    check_silent(error)


@pytest.mark.parametrize("compression", ["zstd", "snappy", "none"])
def test_a_flipped_bit_is_seen_where_pages_have_checksums(table, tmp_path, compression):
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, write_page_checksum=True, compression=compression, row_group_size=1_000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError) as error:
        rows(path)
    check_silent(error)


def test_text_that_is_not_utf8_is_seen_without_checksums(table, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(f"{CANARY}/4000".encode(), f"{CANARY}/400".encode() + b"\xff"))
    with pytest.raises(ShardError) as error:
        rows(path)
    check_silent(error)


def test_damage_shows_after_good_rows(table, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, write_page_checksum=True, row_group_size=1_000)
    start = pq.ParquetFile(path).metadata.row_group(3).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start + 200] ^= 1
    path.write_bytes(data)
    stream = batches(path, rows_per_batch=1_000)
    assert [next(stream).num_rows for _ in range(3)] == [1_000] * 3
    with pytest.raises(ShardError) as error:
        next(stream)
    check_silent(error)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 10, b"url\tcaption\n" * 10, b"PAR1\xff\xff\xff\x7fPAR1"])
def test_not_parquet(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ShardError, match=r"^en: a") as error:
        open_parquet(tmp_path / "a.parquet", "en: a")
    check_silent(error)


def test_missing_folder_and_forbidden(tmp_path, table):
    with pytest.raises(ShardError, match="missing"):
        open_parquet(tmp_path / "none.parquet", "a")
    with pytest.raises(ShardError, match="is a folder"):
        open_parquet(tmp_path, "a")
    if os.geteuid() == 0:
        return
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.parquet").chmod(0)
    with pytest.raises(ShardError, match="no permission"):
        open_parquet(tmp_path / "a.parquet", "a")


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["zstd", "snappy"])
@pytest.mark.parametrize("checksums", [True, False])
def test_random_damage_raises_nothing_else(table, tmp_path, compression, checksums):
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression=compression, write_page_checksum=checksums, row_group_size=1_000)
    data = path.read_bytes()
    choose = random.Random(compression)
    messages = []
    for _ in range(500):
        damaged = bytearray(data)
        place = choose.randrange(len(data)) if choose.random() < 0.7 else choose.randrange(len(data) - 4_000, len(data))
        damaged[place] ^= 1 << choose.randrange(8)
        path.write_bytes(damaged)
        try:
            rows(path)
        except ShardError as error:
            messages.append(str(error))
    assert len(messages) > (400 if checksums else 100)
    assert not any(CANARY in message for message in messages)


PEAK = """
import resource, sys
from pathlib import Path
from relaion_pipeline.settings import Columns, Output
from relaion_pipeline.shards import EditionWriter, batches, open_parquet
source = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_parquet(source, "x") as file: schema = file.schema_arrow
with EditionWriter(source.with_suffix(".copy"), schema, Output(), Columns(link="url")) as writer:
    for batch in batches(source): writer.write(batch)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
def test_one_giant_row_group_takes_little_memory(tmp_path):
    n = 5_000_000
    rng = np.random.default_rng(1)
    url = pa.array(rng.integers(0, 2**62, n)).cast(pa.string())
    url = pa.compute.binary_join_element_wise("https://host.example/some/longer/path", url, "image.jpg", "/")
    table = pa.table({"url": url, "score": rng.random(n), "hash": rng.integers(0, 2**62, n)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=n)
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 1
    del table, url
    command = [sys.executable, "-c", PEAK, str(tmp_path / "a.parquet")]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert peak < 300, f"{peak} MiB more for a file of {n} rows"
