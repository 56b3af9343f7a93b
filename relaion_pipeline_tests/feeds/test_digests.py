import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaion_pipeline.feeds.declaration import Encoding
from relaion_pipeline.feeds.digests import Spelling, decode, decode_fields
from relaion_pipeline.feeds.entries import DIGEST_BYTES, Kind

KINDS = [Kind.IMAGE_MD5, Kind.IMAGE_SHA1, Kind.LINK_SHA256]
WRITE = {
    Encoding.HEX: lambda raw: raw.hex(),
    Encoding.BASE32: lambda raw: base64.b32encode(raw).decode(),
    Encoding.BASE64: lambda raw: base64.b64encode(raw).decode(),
}


def decoded_together(written: list[bytes], spelling: Spelling) -> list[bytes | None]:
    """`decode_fields` over fields that lie unevenly among other bytes."""
    data, starts, ends = b"", [], []
    for number, field in enumerate(written):
        data += b"," * (number % 3)
        starts.append(len(data))
        data += field
        ends.append(len(data))
    array = np.frombuffer(data + b"\n", dtype=np.uint8)
    digests, good = decode_fields(array, np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64), spelling)
    found = iter(digests)
    return [next(found).tobytes() if ok else None for ok in good]


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_round_trip(kind: Kind, encoding: Encoding, data) -> None:
    raws = data.draw(st.lists(st.binary(min_size=DIGEST_BYTES[kind], max_size=DIGEST_BYTES[kind]), min_size=1))
    written = [WRITE[encoding](raw) for raw in raws]
    if encoding is not Encoding.BASE64:
        written = [w.lower() if n % 2 else w.upper() for n, w in enumerate(written)]
    spellings = [written, [w.rstrip("=") for w in written]]
    if encoding is Encoding.BASE64:
        spellings.append([w.replace("+", "-").replace("/", "_") for w in written])
    for each in spellings:
        assert [decode(w, kind, encoding) for w in each] == raws
        assert decoded_together([w.encode() for w in each], Spelling(kind, encoding)) == raws


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("kind", KINDS)
@given(
    fields=st.lists(
        st.text("0123456789abcdefABCDEFghiXYZ+/-_=234567", max_size=70)
        | st.text("0123456789abcdef", min_size=22, max_size=64)
        | st.text("ABCDEFGHIJ234567=", min_size=20, max_size=60)
    )
)
def test_one_and_many_decode_alike(kind: Kind, encoding: Encoding, fields: list[str]) -> None:
    together = decoded_together([f.encode() for f in fields], Spelling(kind, encoding))
    assert together == [decode(f, kind, encoding) for f in fields]


def test_declared_kinds_are_not_guessed_from_length() -> None:
    ambiguous = "2" * 32  # a hexadecimal MD5 as well as a base32 SHA-1
    assert decode(ambiguous, Kind.IMAGE_MD5, Encoding.HEX) == bytes.fromhex(ambiguous)
    assert decode(ambiguous, Kind.IMAGE_SHA1, Encoding.BASE32) == base64.b32decode(ambiguous)
    assert decode(ambiguous, Kind.IMAGE_SHA1, Encoding.HEX) is None


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        ("A" * 25 + "B", Encoding.BASE32),  # the last two bits belong to nothing
        ("A" * 21 + "B", Encoding.BASE64),
        ("A" * 26 + "=", Encoding.BASE32),  # half the padding
        ("A" * 22 + "=", Encoding.BASE64),
        ("A" * 22 + "==" + "==", Encoding.BASE64),
        ("A" * 10 + "1" + "A" * 15, Encoding.BASE32),  # 1, 8, 9, 0 are not of the alphabet
        ("=" * 22, Encoding.BASE64),
        ("A" * 32, Encoding.BASE32),  # letters where the padding belongs
        ("A" * 24, Encoding.BASE64),
        ("", Encoding.HEX),
    ],
)
def test_only_one_spelling_names_a_digest(written: str, encoding: Encoding) -> None:
    assert decode(written, Kind.IMAGE_MD5, encoding) is None
    assert decoded_together([written.encode()], Spelling(Kind.IMAGE_MD5, encoding)) == [None]
