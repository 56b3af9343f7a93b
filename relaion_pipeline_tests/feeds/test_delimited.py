import csv
import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline_tests.feeds.conftest import Load, brief, feed_of, rows_of, texts

MD5 = [hashlib.md5(b"%d" % n).hexdigest() for n in range(4)]
LINKS = {"format": "csv", "kind": "link", "column": "url"}


def test_the_named_column_is_read(load: Load) -> None:
    rows = load(
        f"id,md5,note\n7,{MD5[0]},x\n8,{MD5[1]},\n".encode(), format="csv", kind="image", hash="md5", column="md5"
    )
    assert brief(rows) == [(2, "image_md5", MD5[0], False), (3, "image_md5", MD5[1], False)]


def test_a_numbered_column_is_read_from_the_first_line_on(load: Load) -> None:
    rows = load(f"7,{MD5[0]}\n8,{MD5[1]}\n".encode(), format="csv", kind="image", hash="md5", column="2")
    assert [r["entry"] for r in rows] == [1, 2]


def test_without_column_the_first_is_read(load: Load) -> None:
    assert texts(load(b"a.example,1\nb.example,2\n", format="csv", kind="domain")) == [
        (1, "a.example"),
        (2, "b.example"),
    ]


def test_quotes_separators_and_line_breaks_keep_line_numbers(load: Load) -> None:
    content = b'# exported\n"url",note\n\n"http://a.example/x,""y""",1\nb.example,"two\n\nlines"\r\nc.example,\n'
    assert texts(load(content, **LINKS)) == [(4, 'http://a.example/x,"y"'), (5, "b.example"), (8, "c.example")]


def test_a_record_with_another_number_of_fields_is_malformed(load: Load) -> None:
    content = b"url,note\nhttp://a.example/1,2,x\nb.example\nc.example,x\n,x\n#d.example,x\n"
    assert texts(load(content, **LINKS)) == [(2, None), (3, None), (4, "c.example"), (5, None), (6, "#d.example")]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'url,note\na.example,x\nb"b.example,x\nc.example,x\n', 3),
        (b'url,note\n"a.example"x,1\n', 2),
        (b'url,note\na.example,1\n"never closed,2\nc.example,3\n', 3),
        (b"url,note\na.example," + b"x" * 3_000_000, 2),
    ],
)
def test_where_records_end_unknown_the_feed_is_refused(load: Load, content: bytes, line: int) -> None:
    with pytest.raises(FeedError, match=rf"feed 'invented', list, line {line}: ") as caught:
        load(content, **LINKS)
    assert "example" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("header", [b"link,note", b"url,url", b"a.example,b.example"])
def test_a_column_that_is_not_there_once_is_an_error_without_the_header(load: Load, header: bytes) -> None:
    with pytest.raises(FeedError, match="columns are called 'url'") as caught:
        load(header + b"\nx.example,y\n", **LINKS)
    assert "example" not in str(caught.value)


def test_a_column_number_past_the_last_is_an_error(load: Load) -> None:
    with pytest.raises(FeedError, match="column 3 is asked for, but there are 2"):
        load(b"a,b\n", format="csv", kind="link", column="3")


def test_tsv_takes_quotes_for_content_unless_they_enclose(load: Load) -> None:
    content = b'url\tnote\na"b.example\tit\'s 5" wide\n"c,""d"""\t1\n"\t2\ne.example\t"f\n'
    assert texts(load(content, **(LINKS | {"format": "tsv"}))) == [
        (2, 'a"b.example'),
        (3, 'c,"d"'),
        (4, '"'),
        (5, "e.example"),
    ]


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\v\f \t"), max_size=12)


@pytest.mark.parametrize("block", [7, 64, 1 << 22])
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
)
def test_reads_what_pythons_writer_wrote(tmp_path_factory, rows, quoting, block) -> None:
    root = tmp_path_factory.mktemp("csv")
    file = io.StringIO()
    writer = csv.writer(file, quoting=quoting, lineterminator="\n")
    writer.writerow(["a", "url", "c"])
    lines = []
    for row in rows:
        lines.append(file.getvalue().count("\n") + 1)
        writer.writerow(row)
    (root / "list").write_text(file.getvalue(), encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relaion_pipeline.feeds.delimited.BLOCK_BYTES", block)
        found = rows_of(root, feed_of(**LINKS))
    expected = [(line, row[1].strip() or None) for line, row in zip(lines, rows, strict=True)]
    assert [(line, (text or "").strip() or None) for line, text in texts(found)] == expected
