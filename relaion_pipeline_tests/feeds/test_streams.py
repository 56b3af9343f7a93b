import gzip
import io
import zipfile

import pyarrow as pa
import pytest

from relaion_pipeline.feeds import streams
from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline_tests.feeds.conftest import Load, texts

PLAIN = b"".join(b"%d.example\n" % n for n in range(1000))


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(PLAIN),
        gzip.compress(PLAIN[:100]) + gzip.compress(PLAIN[100:]),
        zstd(PLAIN),
        zstd(PLAIN[:100]) + zstd(PLAIN[100:]),
        zipped({"list.txt": PLAIN}),
        zipped({"list.txt.gz": gzip.compress(PLAIN)}),
        zipped({"__MACOSX/._list.txt": b"\0\1", "folder/": b"", "folder/list.txt": PLAIN}),
        gzip.compress(zstd(PLAIN)),
        gzip.compress(b"\xef\xbb\xbf" + PLAIN),
        gzip.compress(PLAIN.decode().encode("utf-16")),
    ],
)
def test_compression_is_found_by_its_magic_bytes(load: Load, packed: bytes) -> None:
    assert [text for _, text in texts(load(packed))] == PLAIN.decode().split()


def test_members_of_a_zip_are_files_of_their_own(load: Load) -> None:
    rows = load(zipped({"b.txt": b"c.example\n", "a.txt": b"a.example\nb.example\n"}))
    assert [(r["file"], r["entry"], r["before"], r["text"]) for r in rows] == [
        ("list!a.txt", 1, 0, "a.example"),
        ("list!a.txt", 2, 0, "b.example"),
        ("list!b.txt", 1, 2, "c.example"),
    ]


def damaged_zip() -> bytes:
    data = bytearray(zipped({"list.txt": PLAIN}))
    data[60] ^= 0xFF
    return bytes(data)


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(PLAIN)[:-10],
        gzip.compress(PLAIN)[:50],
        gzip.compress(PLAIN) + b"trailing",
        gzip.compress(PLAIN)[:-8] + b"\0" * 8,  # wrong checksum
        zstd(PLAIN)[:-10],
        zstd(PLAIN)[:6],
        zipped({"list.txt": PLAIN})[:-30],
        damaged_zip(),
    ],
)
def test_a_damaged_file_is_an_error_not_a_short_list(load: Load, packed: bytes) -> None:
    with pytest.raises(FeedError, match=r"feed 'invented', list(!list.txt)?: is damaged") as caught:
        load(packed)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (b"BZh91AY", "is bzip2"),
        (b"\xfd7zXZ\x00", "is xz"),
        (b"PAR1", "is Parquet"),
        (b"%PDF-1.7", "is PDF"),
        (b"x" * 257 + b"ustar\x0000" + b"x" * 300, "is a tar archive"),
        (gzip.compress(b"x" * 257 + b"ustar\x0000"), "is a tar archive"),
        (zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b""}), "is an Office document"),
        (zipped({"inner.zip": zipped({"list": PLAIN})}), "is a zip inside"),
        (gzip.compress(gzip.compress(gzip.compress(PLAIN))), "compressed more than 2 times"),
        ("a.example".encode("utf-16") + b"\x00", "is damaged"),
    ],
)
def test_what_is_no_list_is_named(load: Load, packed: bytes, says: str) -> None:
    with pytest.raises(FeedError, match=says):
        load(packed)


def test_a_short_list_may_repeat_itself(load: Load) -> None:
    assert texts(load(gzip.compress(b"\n" * 10_000_000 + b"a.example"))) == [(10_000_001, "a.example")]


@pytest.mark.parametrize("pack", [gzip.compress, zstd, lambda data: zipped({"list": data})])
def test_a_decompression_bomb_is_refused_early(load: Load, monkeypatch: pytest.MonkeyPatch, pack) -> None:
    monkeypatch.setattr(streams, "RATIO_APPLIES_FROM", 1 << 20)
    with pytest.raises(FeedError, match="decompression bomb"):
        load(pack(b"\n" * 20_000_000))


def test_a_bomb_spread_over_members_is_one_bomb(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RATIO_APPLIES_FROM", 1 << 20)
    with pytest.raises(FeedError, match="decompression bomb"):
        load(zipped({str(n): b"\n" * 500_000 for n in range(40)}))


def test_an_encrypted_zip_is_an_error(load: Load) -> None:
    data = bytearray(zipped({"list": b"a.example"}))
    central = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[central + 8] |= 1
    with pytest.raises(FeedError, match="is damaged"):
        load(bytes(data))
