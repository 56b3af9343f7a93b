import datetime as dt
import decimal
import errno
import hashlib
import random
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaion_pipeline.settings import Columns, Output
from relaion_pipeline.shards import EditionWriter, ShardError, batches, schema_digest

CANARY = "cAnArY"
COLUMNS = Columns(link="url", text="text", md5="md5")


def laion(n=10_000, seed=1):
    draw = random.Random(seed)
    return pa.table(
        {
            "url": [f"https://h{i % 99}.example/{draw.random()}" for i in range(n)],
            "text": [None if i % 50 == 0 else f"a text {draw.random()}" for i in range(n)],
            "md5": [f"{draw.getrandbits(128):032x}" for _ in range(n)],
            "LANGUAGE": pa.array([draw.choice("ab") for _ in range(n)]).dictionary_encode(),
            "width": pa.array([draw.randrange(1, 2_000) for _ in range(n)], pa.int32()),
            "punsafe": pa.array([draw.random() for _ in range(n)], pa.float32()),
        }
    )


def write(path, table, sizes=(1_000,), output=None, columns=COLUMNS):
    with EditionWriter(path, table.schema, output or Output(row_group_rows=1_024), columns) as writer:
        start, turn = 0, 0
        while start < table.num_rows:
            size = sizes[turn % len(sizes)]
            for batch in table.slice(start, size).to_batches():
                writer.write(batch)
            start, turn = start + size, turn + 1
    assert writer.rows == table.num_rows
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_batches_do_not_shape_the_bytes(tmp_path):
    table = laion()
    ways = {"one": (10_000,), "group": (1_024,), "odd": (7, 1_500, 333), "small": (64,), "beyond": (1_025,)}
    found = {name: digest(write(tmp_path / name, table, sizes)) for name, sizes in ways.items()}
    assert len(set(found.values())) == 1, found


def test_pages_do_not_follow_batches(tmp_path):
    """Row groups larger than a page: page borders must not fall where batches ended."""
    table = pa.table({"url": [f"{n:0100d}" for n in range(40_000)]})
    output = Output(row_group_rows=30_000)
    assert digest(write(tmp_path / "a", table, (40_000,), output)) == digest(
        write(tmp_path / "b", table, (999,), output)
    )


def test_threads_do_not_shape_the_bytes(tmp_path):
    table = laion()
    before = pa.cpu_count()
    try:
        digests = set()
        for threads in (1, 2, 4):
            pa.set_cpu_count(threads)
            with ThreadPoolExecutor(threads) as pool:
                paths = list(pool.map(lambda n: write(tmp_path / f"{n}", table), range(threads)))
            digests |= {digest(path) for path in paths}
    finally:
        pa.set_cpu_count(before)
    assert len(digests) == 1


def test_row_groups_and_encodings(tmp_path):
    metadata = pq.ParquetFile(write(tmp_path / "a", laion(5_000))).metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [1_024] * 4 + [904]
    group = metadata.row_group(0)
    found = {group.column(n).path_in_schema: group.column(n) for n in range(metadata.num_columns)}
    assert all(column.compression == "ZSTD" and column.is_stats_set for column in found.values())
    assert {name for name, column in found.items() if column.has_dictionary_page} == {"LANGUAGE", "width"}


def test_snappy(tmp_path):
    path = write(tmp_path / "a", laion(2_000), output=Output(row_group_rows=1_024, compression="snappy"))
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "SNAPPY"
    assert pq.read_table(path).to_pydict() == laion(2_000).to_pydict()


def test_values_of_removed_rows_do_not_stay_in_a_dictionary(tmp_path):
    source = tmp_path / "source"
    urls = pa.array([CANARY if n % 10 == 0 else f"http://{n % 7}/" for n in range(4_000)])
    pq.write_table(pa.table({"url": urls.dictionary_encode(), "n": range(4_000)}), source, compression="none")
    assert CANARY.encode() in source.read_bytes()
    target = tmp_path / "target"
    kept = []
    with EditionWriter(target, pq.read_schema(source), Output(row_group_rows=1_024), None) as writer:
        for batch in batches(source, 500):
            kept.append(batch.filter(pc.not_equal(batch["url"].cast(pa.string()), CANARY)))
            writer.write(kept[-1])
    table = pq.read_table(target)
    assert table.to_pydict() == pa.Table.from_batches(kept).to_pydict()
    assert table.schema.equals(pq.read_schema(source))
    for group in range(pq.ParquetFile(target).num_row_groups):
        column = pq.ParquetFile(target).read_row_group(group).column("url")
        assert CANARY not in {value for chunk in column.chunks for value in chunk.dictionary.to_pylist()}


def test_a_dictionary_inside_a_nested_column_is_refused(tmp_path):
    schema = pa.schema([("tags", pa.list_(pa.struct([("t", pa.dictionary(pa.int8(), pa.string()))])))])
    with pytest.raises(ShardError, match="'tags'"):
        EditionWriter(tmp_path / "a", schema, Output())


KINDS = {
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    pa.large_string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    pa.binary(): st.binary(max_size=5),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["", "a", "b"]),
    pa.dictionary(pa.int8(), pa.large_string()): st.sampled_from(["", "a", "b"]),
    pa.null(): st.none(),
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.uint32(): st.integers(0, 2**32 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float16(): st.floats(width=16, allow_nan=False),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.decimal128(12, 3): st.integers(-(10**9), 10**9).map(lambda n: decimal.Decimal(n).scaleb(-3)),
    pa.date32(): st.dates(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(dt.UTC)),
    pa.timestamp("ns"): st.just(dt.datetime(2020, 1, 2, 3, 4, 5)),  # noqa: DTZ001
    pa.timestamp("s"): st.just(dt.datetime(2020, 1, 2, 3, 4, 5)),  # noqa: DTZ001
    pa.list_(pa.int32()): st.lists(st.none() | st.integers(0, 9), max_size=3),
    pa.list_(pa.field("element", pa.string())): st.lists(st.sampled_from("ab"), max_size=3),
    pa.struct([("x", pa.int32()), ("y", pa.list_(pa.string()))]): st.fixed_dictionaries(
        {"x": st.none() | st.integers(0, 9), "y": st.none() | st.lists(st.sampled_from("ab"), max_size=2)}
    ),
    pa.map_(pa.string(), pa.int32()): st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=2),
}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_types_and_values_survive(tmp_path_factory, data):
    """What a Parquet source holds comes out of the writer as it was: schema, field metadata, values, nulls."""
    folder = tmp_path_factory.mktemp("types")
    kinds = data.draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=6))
    fields, arrays = [], []
    for number, kind in enumerate(kinds):
        values = data.draw(st.lists(st.none() | KINDS[kind], min_size=5, max_size=5))
        required = None not in values and kind != pa.null()
        fields.append(pa.field(f"c{number}", kind, nullable=not required, metadata={"of": f"{number}"}))
        arrays.append(pa.array(values, kind))
    source = pa.table(arrays, schema=pa.schema(fields, metadata={"kept": "too"}))
    pq.write_table(source, folder / "source", use_compliant_nested_type=data.draw(st.booleans()))
    schema = pq.read_schema(folder / "source")
    with EditionWriter(folder / "target", schema, Output(row_group_rows=1_024), None) as writer:
        for batch in batches(folder / "source", 2):
            writer.write(batch)
    before, after = pq.read_table(folder / "source"), pq.read_table(folder / "target")
    assert after.schema.equals(before.schema, check_metadata=True)
    assert schema_digest(after.schema) == schema_digest(before.schema)
    assert after.to_pylist() == before.to_pylist() == source.to_pylist()


def test_no_rows_is_a_file_with_the_schema(tmp_path):
    none = laion(10).slice(0, 0)
    assert pq.read_table(write(tmp_path / "a", none)).schema.equals(none.schema)


def test_full_disk_is_told_as_such():
    with pytest.raises(OSError, match="No space left") as error:
        write("/dev/full", laion(60_000))
    assert error.value.errno == errno.ENOSPC


def test_an_error_inside_is_the_one_that_shows(tmp_path):
    with pytest.raises(ZeroDivisionError), EditionWriter(tmp_path / "a", laion(1).schema, Output(), COLUMNS):
        _ = 1 / 0
