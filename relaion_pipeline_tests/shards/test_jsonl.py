import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaion_pipeline.settings import Columns, Subset
from relaion_pipeline.shards import Shard, ShardError, as_parquet, find, resolve

CANARY = "cAnArY"


def dump(*rows) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def read(shard, tmp_path):
    return pq.read_table(as_parquet(shard, None, "auto", tmp_path / "out" / "a.parquet"))


@pytest.mark.parametrize("language", ["ar", "en", "ja", "ko"])
def test_real_wit_equals_json_loads(real_shards, tmp_path, language):
    (shard,) = find("wit", Subset(shards=f"{real_shards}/wit_test_{language}.jsonl"), tmp_path)
    table = read(shard, tmp_path)
    wanted = [json.loads(line) for line in shard.path.read_text(encoding="utf-8").splitlines()]
    assert table.to_pylist() == wanted
    assert table.schema.names == list(wanted[0])
    assert table.schema.field("image_idx").type == pa.int64()


def test_types_hold_for_the_whole_file(shard, tmp_path):
    late = [{"n": 1, "b": True, "t": "x", "z": None}] * 20_000
    rows = [*late, {"n": 0.5, "o": {"k": [1, "é"]}, "late": 2**62, "t": None}]
    table = read(shard("a.jsonl", dump(*rows)), tmp_path)
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
        "n": pa.float64(),
        "b": pa.bool_(),
        "t": pa.string(),
        "z": pa.string(),
        "o": pa.string(),
        "late": pa.int64(),
    }
    assert table.num_rows == 20_001
    last = table.slice(20_000).to_pylist()[0]
    assert last == {"n": 0.5, "b": None, "t": None, "z": None, "o": '{"k":[1,"é"]}', "late": 2**62}


def test_json_text_cannot_be_screened(shard, tmp_path):
    schema = read(shard("a.jsonl", dump({"url": ["http://a/"], "caption": "x"})), tmp_path).schema
    with pytest.raises(ShardError, match="'url' holds JSON"):
        resolve(Columns(link="url"), schema)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": 1}, {"a": "cAnArY"}], "line 2: 'a' is text, but a whole number"),
        ([{"a": "cAnArY"}, {"a": ["cAnArY"]}], "line 2: 'a' is an object or array, but text"),
        ([{"a": True}, {"a": 1}], "line 2: 'a' is a whole number, but true or false"),
        ([{"a": 2**53 + 1}, {"a": 0.5}], "line 2: 'a' has fractions"),
        ([{"a": 0.5}, {"a": 2**53 + 1}], "line 2: 'a' has fractions"),
        ([{"a": 2**63}], "line 1: 'a' is too large"),
    ],
)
def test_disagreeing_lines_are_refused(shard, tmp_path, rows, message):
    with pytest.raises(ShardError, match=message) as error:
        read(shard("a.jsonl", dump(*rows)), tmp_path)
    assert CANARY not in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        b"cAnArY",
        b'{"a": "cAnArY"',
        b'{"a": "cAnArY"} {}',
        b'["cAnArY"]',
        b'"cAnArY"',
        b'{"a": 1, "a": "cAnArY"}',
        b'{"o": {"k": 1, "k": "cAnArY"}}',
        b'{"n": NaN, "b": "cAnArY"}',
        b'{"n": [-Infinity], "b": "cAnArY"}',
        b'{"n": 1e999, "b": "cAnArY"}',
        b'{"a": "cAnArY\xff"}',
        b'{"a": "cAnArY\\ud800"}',
        b"",
        b"[" * 100_000,
    ],
)
def test_bad_lines_are_named_by_number_only(shard, tmp_path, line):
    with pytest.raises(ShardError, match=r"a\.jsonl, line 2") as error:
        read(shard("a.jsonl", b'{"a": "x"}\n' + line + b'\n{"a": "y"}\n'), tmp_path)
    assert CANARY not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n"])
def test_nothing_in_it(shard, tmp_path, content):
    with pytest.raises(ShardError, match="holds no row"):
        read(shard("a.jsonl", content), tmp_path)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
ROW = st.fixed_dictionaries(
    {},
    optional={
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "t": st.none() | TEXT,
        "b": st.none() | st.booleans(),
    },
)


@given(st.lists(ROW, min_size=1, max_size=20).filter(any), st.booleans())
def test_values_survive(tmp_path_factory, rows, ascii_only):
    folder = tmp_path_factory.mktemp("jsonl")
    (folder / "a.jsonl").write_text(
        "".join(json.dumps(r, ensure_ascii=ascii_only) + "\n" for r in rows), encoding="utf-8", newline="\n"
    )
    found = read(Shard("s", "a", folder / "a.jsonl"), folder).to_pylist()
    assert found == [{key: row.get(key) for key in found[0]} for row in rows]
    assert set(found[0]) == set().union(*rows)
