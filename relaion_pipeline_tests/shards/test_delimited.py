import csv
import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaion_pipeline.settings import Columns, Subset
from relaion_pipeline.shards import Shard, ShardError, as_parquet, find, resolve

CANARY = "cAnArY"


def read(shard, tmp_path, has_header=None, columns="auto"):
    table = pq.read_table(as_parquet(shard, has_header, columns, tmp_path / "out" / "a.parquet"))
    assert set(table.schema.types) <= {pa.string()}
    return table.schema.names, [list(row.values()) for row in table.to_pylist()]


def test_real_cc3m_equals_a_plain_split(real_shards, tmp_path):
    (shard,) = find("cc", Subset(shards=f"{real_shards}/cc3m_validation.tsv"), tmp_path)
    names, rows = read(shard, tmp_path)
    text = shard.path.read_bytes().decode()
    assert names == ["caption", "url"]
    assert len(rows) == 15_833
    assert rows == [line.split("\t") for line in text.removesuffix("\n").split("\n")]


@pytest.mark.parametrize("columns", ["auto", "cc3m", "cc12m"])
@pytest.mark.parametrize("has_header", [None, False])
def test_link_is_told_by_content(shard, tmp_path, columns, has_header):
    assert read(shard("a.tsv", b"http://a/1\tone\nHTTPS://b/2\ttwo\n"), tmp_path, has_header, columns) == (
        ["url", "caption"],
        [["http://a/1", "one"], ["HTTPS://b/2", "two"]],
    )
    names, _ = read(shard("b.tsv", b"one\thttp://a/1\n"), tmp_path, has_header, columns)
    assert names == ["caption", "url"]


def test_headerless_names_come_from_the_settings(shard, tmp_path):
    names, _ = read(shard("a.csv", b"one,http://a/1\n"), tmp_path, None, Columns(link="L", text="T"))
    assert names == ["T", "L"]


@pytest.mark.parametrize(
    ("content", "has_header", "columns", "message"),
    [
        (b"cAnArY\thttp://cAnArY/1\tx\n", None, "auto", "3 fields"),
        (b"http://cAnArY/1\thttp://cAnArY/2\n", None, "auto", "neither field is a link throughout"),
        (b"cAnArY\tcAnArY\n", False, "auto", "neither field is a link throughout"),
        (b"cAnArY\tcAnArY\n", None, "auto", "line 1: neither a row with a link nor a header"),
        (b"cAnArY\thttp://cAnArY/1\n", True, "auto", "line 1.*holds a link"),
        (b"cAnArY\thttp://cAnArY/1\n", None, Columns(link="url"), "what the two fields are called"),
        (b"cAnArY\thttp://cAnArY/1\n", None, "nonsense", "what the two fields are called"),
        (b"", None, "auto", "empty"),
    ],
)
def test_unclear_headers_are_told_without_content(shard, tmp_path, content, has_header, columns, message):
    with pytest.raises(ShardError, match=message) as error:
        read(shard("a.tsv", content), tmp_path, has_header, columns)
    assert CANARY not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_header_is_found_and_columns_stay_in_order(shard, tmp_path):
    names, rows = read(shard("a.csv", b"z,URL,TEXT\n1,http://a/,\n,,x\n"), tmp_path)
    assert names == ["z", "URL", "TEXT"]
    assert rows == [["1", "http://a/", ""], ["", "", "x"]]
    assert resolve("auto", pa.schema([(n, pa.string()) for n in names])).link == "URL"


def test_tsv_has_no_quoting(shard, tmp_path):
    _, rows = read(shard("a.tsv", b'url\tcaption\nhttp://a/"\t"one ""two\nhttp://b/\t \xc2\xa0a\rb \n'), tmp_path)
    assert rows == [['http://a/"', '"one ""two'], ["http://b/", " \xa0a\rb "]]


def test_windows_line_ends_and_byte_order_mark(shard, tmp_path):
    assert read(shard("a.tsv", b"\xef\xbb\xbfurl\tcaption\r\nhttp://a/\tx\r\n"), tmp_path) == (
        ["url", "caption"],
        [["http://a/", "x"]],
    )
    assert read(shard("b.csv", b'\xef\xbb\xbfurl,caption\r\nhttp://a/,"x\r\n\r\ny"\r\n'), tmp_path)[1] == [
        ["http://a/", "x\r\n\r\ny"]
    ]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n\n"])
def test_one_blank_line_at_the_end_is_nothing(shard, tmp_path, ending):
    assert len(read(shard("a.tsv", b"url\tcaption\nhttp://a/\tx" + ending), tmp_path)[1]) == 1


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ([b"cAnArY"], 3),
        ([b"a|b|cAnArY"], 3),
        ([b"a|b", b"", b"cAnArY|c"], 4),
        ([b"a|b", b"", b""], 4),
        ([b"a|b", b"cAnArY\xff|c"], 4),
        ([b"a|b"] * 40_000 + [b"cAnArY\xc3|c"], 40_003),
        ([b"a|b"] * 40_000 + [b"cAnArY|c|d"], 40_003),
    ],
)
def test_bad_lines_are_named_by_number_only(shard, tmp_path, name, lines, number):
    comma = b"\t" if name.endswith("tsv") else b","
    content = b"\n".join([b"url|caption", b"http://a/|x", *lines, b""]).replace(b"|", comma)
    with pytest.raises(ShardError, match=rf"{name}, line {number}: ") as error:
        read(shard(name, content), tmp_path)
    assert CANARY not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("content", "number"),
    [(b'"cAnArY"x,b\n', 4), (b'"cAnArY,b\n', 4), (b"cAnArY\rx,b\n", 4)],
)
def test_bad_csv_is_named_by_the_first_line_of_the_record(shard, tmp_path, content, number):
    with pytest.raises(ShardError, match=rf"line {number}: not valid CSV") as error:
        read(shard("a.csv", b'url,caption\nhttp://a/,"x\ny"\n' + content + b"http://b/,z\n"), tmp_path)
    assert CANARY not in str(error.value)


def test_line_numbers_count_lines_inside_quotes(shard, tmp_path):
    with pytest.raises(ShardError, match="line 4: 1 fields"):
        read(shard("a.csv", b'url,caption\nhttp://a/,"x\ny"\nz\n'), tmp_path)


def test_twin_columns(shard, tmp_path):
    with pytest.raises(ShardError, match="more than one column is called x"):
        read(shard("a.csv", b"url,caption,x,x\nhttp://a/,b,1,2\n"), tmp_path, has_header=True)


def test_compressed_text(shard, tmp_path):
    content = b"url\tcaption\n" + b"http://a/\tx\n" * 5_000
    zstd = pa.BufferOutputStream()
    with pa.CompressedOutputStream(zstd, "zstd") as packer:
        packer.write(content)
    packed = {
        "a.tsv.gz": gzip.compress(content[:3000]) + gzip.compress(content[3000:]),
        "b.tsv.zst": zstd.getvalue().to_pybytes(),
    }
    for name, data in packed.items():
        assert len(read(shard(name, data), tmp_path)[1]) == 5_000
        for cut in (3, len(data) // 2, len(data) - 3):
            with pytest.raises(ShardError, match=r"cut short|empty"):
                read(shard(name, data[:cut]), tmp_path)
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 0x10
        if name.endswith("gz"):
            with pytest.raises(ShardError):
                read(shard(name, bytes(flipped)), tmp_path)


def test_endless_line(shard, tmp_path, monkeypatch):
    monkeypatch.setattr("relaion_pipeline.shards.lines.MAX_LINE_BYTES", 2_000_000)
    with pytest.raises(ShardError, match="line 2: longer than"):
        read(shard("a.tsv", b"url\tcaption\n" + b"x" * 5_000_000), tmp_path)


FIELD = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=30))
def test_any_csv_field_survives(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("csv")
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("url", "caption"), *rows])
    (folder / "a.csv").write_bytes(text.getvalue().encode())
    _, found = read(Shard("s", "a", folder / "a.csv"), folder, has_header=True)
    assert found == [list(row) for row in rows]


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), max_size=12)] * 2),
        min_size=1,
    )
)
def test_any_tsv_field_survives(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("tsv")
    (folder / "a.tsv").write_bytes("".join(f"{a}\t{b}\n" for a, b in [("url", "caption"), *rows]).encode())
    _, found = read(Shard("s", "a", folder / "a.tsv"), folder, has_header=True)
    assert found == [list(row) for row in rows]
