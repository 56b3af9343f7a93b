import hashlib
import tracemalloc

import pytest

from relaion_pipeline_tests.feeds.conftest import Load, brief, texts

DIGESTS = [hashlib.md5(b"%d" % n).hexdigest() for n in range(4)]
IMAGE = {"kind": "image", "hash": "md5"}


def test_one_entry_a_line_in_either_case(load: Load) -> None:
    rows = load(f"{DIGESTS[0]}\n{DIGESTS[1].upper()}\n".encode(), **IMAGE)
    assert brief(rows) == [(1, "image_md5", DIGESTS[0], False), (2, "image_md5", DIGESTS[1], False)]


def test_link_hashes_are_told_from_image_hashes(load: Load) -> None:
    assert load(DIGESTS[0].encode(), kind="link-hash", hash="md5")[0]["kind"] == "link_md5"


def test_numbers_are_those_of_lines_over_blank_lines_comments_bom_and_crlf(load: Load) -> None:
    content = f"\ufeff# made up\r\n\r\n{DIGESTS[0]}\r\n \t\r\n  {DIGESTS[1]}\t \r\n#{DIGESTS[2]}\r\n{DIGESTS[3]}"
    rows = load(content.encode(), **IMAGE)
    assert [(row["entry"], row["digest"].hex()) for row in rows] == [(3, DIGESTS[0]), (5, DIGESTS[1]), (7, DIGESTS[3])]


@pytest.mark.parametrize("cut", [5, 33, 1000])
def test_numbers_survive_block_boundaries(load: Load, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr("relaion_pipeline.feeds.lines.BLOCK_BYTES", cut)
    lines = [DIGESTS[n % 4] if n % 3 else ("" if n % 2 else "# remark") for n in range(200)]
    rows = load("\n".join(lines).encode(), **IMAGE)
    assert [(r["entry"], r["digest"].hex()) for r in rows] == [
        (n + 1, line) for n, line in enumerate(lines) if len(line) == 32
    ]


@pytest.mark.parametrize(
    "line",
    [
        "d41d8cd98f00b204e9800998ecf8427",  # a digit short
        "d41d8cd98f00b204e9800998ecf8427e0",
        "d41d8cd98f00b204e9800998ecf8427g",
        "0xd41d8cd98f00b204e9800998ecf842",
        "d41d8cd9-8f00-b204-e980-0998ecf8427e",
        "d41d8cd98f00b204 9800998ecf8427e",
        "d41d8cd98f00b204e9800998ecf8427e  file.jpg",
        "\N{FULLWIDTH DIGIT ONE}" * 32,
    ],
)
def test_what_is_no_digest_is_malformed_and_holds_nothing(load: Load, line: str) -> None:
    rows = load(f"{DIGESTS[0]}\n{line}\n{DIGESTS[1]}\n".encode(), **IMAGE)
    assert brief(rows) == [
        (1, "image_md5", DIGESTS[0], False),
        (2, None, None, False),
        (3, "image_md5", DIGESTS[1], False),
    ]


def test_a_remark_after_a_hash_or_domain_is_none_of_it(load: Load) -> None:
    assert load(f"{DIGESTS[0]} # seen twice\n".encode(), **IMAGE)[0]["digest"].hex() == DIGESTS[0]
    assert texts(load(b"a.example\t# seen\nb.example#c\n", kind="domain")) == [(1, "a.example"), (2, "b.example#c")]


def test_a_link_keeps_what_looks_like_a_remark(load: Load) -> None:
    link = "https://a.example/x y #part"
    assert texts(load(link.encode(), kind="link")) == [(1, link)]


def test_bytes_that_are_not_utf8_become_percent_escapes_in_links(load: Load) -> None:
    rows = load(b"http://a.example/caf\xe9\nhttp://b.example/caf\xc3\xa9\n\xff\n", kind="link")
    assert texts(rows) == [(1, "http://a.example/caf%E9"), (2, "http://b.example/café"), (3, "%FF")]


def test_bytes_that_are_not_utf8_make_a_domain_malformed(load: Load) -> None:
    assert [row["kind"] for row in load(b"caf\xe9.example\nb.example\n", kind="domain")] == [None, "domain"]


def test_a_character_split_over_two_lines_is_not_taken_for_whole(load: Load) -> None:
    assert texts(load(b"a\xc3\n\xa9b\n", kind="link")) == [(1, "a%C3"), (2, "%A9b")]


def test_nul_bytes_stay_in_links_and_spoil_digests(load: Load) -> None:
    assert texts(load(b"http://a.example/\0\n", kind="link")) == [(1, "http://a.example/\0")]
    assert load(b"\0" * 32, **IMAGE)[0]["kind"] is None


def test_utf16_is_read(load: Load) -> None:
    assert texts(load("a.example\r\nb.example".encode("utf-16"), kind="domain")) == [(1, "a.example"), (2, "b.example")]


def test_a_line_of_ten_megabytes_is_malformed_and_the_next_is_read(load: Load) -> None:
    long = b"x" * 10_000_000
    for content in (long + b"\nlast.example\n", b" " * 10_000_000 + b"x\nlast.example\n"):
        rows = load(content, kind="link")
        assert brief(rows) == [(1, None, None, False), (2, "link", "last.example", False)]
    assert texts(load(b"#" + long + b"\nlast.example\n", kind="link")) == [(2, "last.example")]


def test_an_endless_line_takes_bounded_memory(load: Load) -> None:
    content = b"x" * 100_000_000
    tracemalloc.start()
    load(content, kind="link")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000


def test_batches_are_bounded(load: Load, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relaion_pipeline.feeds.batches.BATCH_ROWS", 10)
    for fields, line in ((IMAGE, DIGESTS[0]), ({"kind": "link"}, "a.example/b"), ({"kind": "domain"}, "a.example")):
        rows = load((f"{line}\n" * 95).encode(), **fields)
        assert [row["entry"] for row in rows] == list(range(1, 96))


def test_numbers_in_the_feed_go_on_from_file_to_file(load: Load) -> None:
    rows = load(
        {"f/c": b"d.example\n", "f/b": b"c.example\n", "f/a": b"a.example\n\nb.example\n"}, files="f/*", kind="domain"
    )
    assert [(r["file"], r["entry"], r["before"] + r["entry"]) for r in rows] == [
        ("f/a", 1, 1),
        ("f/a", 3, 3),
        ("f/b", 1, 4),
        ("f/c", 1, 5),
    ]
