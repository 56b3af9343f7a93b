"""Written digests to raw bytes: hexadecimal, base32 and base64, millions at a time or one alone.

Function and encoding are declared by the feed or its format. Nothing is guessed: 32 characters may be a hexadecimal
MD5 or a base32 SHA-1.
"""

import base64
import binascii
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relaion_pipeline.feeds.declaration import Encoding
from relaion_pipeline.feeds.entries import DIGEST_BYTES, Kind

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_BITS = {Encoding.HEX: 4, Encoding.BASE32: 5, Encoding.BASE64: 6}
_GROUP = {Encoding.HEX: 2, Encoding.BASE32: 8, Encoding.BASE64: 4}  # characters after which padding is complete
_INVALID = 0xFF
_CHUNK = 65_536  # rows decoded at once: keeps the unpacked bits of base64 under 25 MB
_PAD = ord("=")


@dataclass(frozen=True)
class Spelling:
    """The exact shape of a written digest."""

    kind: Kind
    encoding: Encoding

    @property
    def size(self) -> int:
        """Bytes of the raw digest."""
        return DIGEST_BYTES[self.kind]

    @property
    def length(self) -> int:
        """Characters without padding."""
        return -(-self.size * 8 // _BITS[self.encoding])

    @property
    def padding(self) -> int:
        """How many `=` make the last group whole."""
        return -self.length % _GROUP[self.encoding]


def decode(text: str, kind: Kind, encoding: Encoding) -> bytes | None:
    """The raw digest, or None where length or alphabet is wrong."""
    spelling = Spelling(kind, encoding)
    bare = text
    if spelling.padding and len(text) == spelling.length + spelling.padding:
        bare = text.removesuffix("=" * spelling.padding)
    if len(bare) != spelling.length or not bare.isascii() or "=" in bare:
        return None
    try:
        if encoding is Encoding.HEX:
            return binascii.unhexlify(bare)
        padded = bare + "=" * spelling.padding
        if encoding is Encoding.BASE32:
            raw = base64.b32decode(padded.upper())
        else:
            raw = base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        return None
    return raw if _canonical(bare, encoding, spelling.size) else None


def decode_fields(data: Bytes, starts: Positions, ends: Positions, spelling: Spelling) -> tuple[Bytes, Mask]:
    """Decode the fields `data[starts[i]:ends[i]]`.

    Returns:
        The digests of the well-formed fields, shape (how many, size), and a mask over all fields of which those are.
    """
    lengths = ends - starts
    good = lengths == spelling.length
    if spelling.padding:
        padded = np.flatnonzero(lengths == spelling.length + spelling.padding)
        for back in range(1, spelling.padding + 1):
            padded = padded[data[ends[padded] - back] == _PAD]
        good[padded] = True
    fields = starts[good]
    digests = np.empty((len(fields), spelling.size), dtype=np.uint8)
    valid = np.empty(len(fields), dtype=np.bool_)
    for first in range(0, len(fields), _CHUNK):
        part = slice(first, first + _CHUNK)
        digests[part], valid[part] = _decode_chars(_gather(data, fields[part], spelling.length), spelling)
    good[np.flatnonzero(good)[~valid]] = False
    return (digests if valid.all() else digests[valid]), good


def _gather(data: Bytes, starts: Positions, length: int) -> Bytes:
    """The `length` characters from each start, shape (n, length); cheap where the fields are evenly spaced."""
    if len(starts) > 1:
        step = int(starts[1] - starts[0])
        if step >= length and starts[-1] - starts[0] == step * (len(starts) - 1) and (np.diff(starts) == step).all():
            view = np.lib.stride_tricks.as_strided(data[starts[0] :], (len(starts), length), (step, 1), writeable=False)
            return np.ascontiguousarray(view)
    return np.asarray(data[starts[:, None] + np.arange(length)], dtype=np.uint8)


def _decode_chars(chars: Bytes, spelling: Spelling) -> tuple[Bytes, Mask]:
    if spelling.encoding is Encoding.HEX:
        pairs = _HEX_PAIRS[chars.view("<u2")]
        return pairs.astype(np.uint8), (pairs <= _INVALID).all(axis=1)
    values = _ALPHABETS[spelling.encoding][chars]
    valid = (values != _INVALID).all(axis=1)
    width = _BITS[spelling.encoding]
    bits = np.unpackbits(values[:, :, None], axis=2)[:, :, 8 - width :].reshape(len(chars), -1)
    used = spelling.size * 8
    # Bits beyond the digest must be zero, or two spellings would name one digest (RFC 4648, section 3.5).
    valid &= ~bits[:, used:].any(axis=1)
    return np.packbits(bits[:, :used], axis=1), valid


def _canonical(bare: str, encoding: Encoding, size: int) -> bool:
    spare = len(bare) * _BITS[encoding] - size * 8
    return not int(_ALPHABETS[encoding][ord(bare[-1])]) & ((1 << spare) - 1)


def _hex_pairs() -> npt.NDArray[np.uint16]:
    """Byte value by the two characters read as one little-endian number; above 255: not hexadecimal."""
    table = np.full(1 << 16, 0x100, dtype=np.uint16)
    digits = [(ord(c), int(c, 16)) for c in "0123456789abcdefABCDEF"]
    for first, high in digits:
        for second, low in digits:
            table[first | second << 8] = high << 4 | low
    return table


def _alphabet(characters: str) -> Bytes:
    table = np.full(256, _INVALID, dtype=np.uint8)
    for value, character in enumerate(characters):
        table[ord(character)] = value
    return table


def _alphabets() -> dict[Encoding, Bytes]:
    upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    base32 = np.minimum(_alphabet(upper + "234567"), _alphabet(upper.lower() + "234567"))
    alphanumeric = upper + upper.lower() + "0123456789"
    base64_either = np.minimum(_alphabet(alphanumeric + "+/"), _alphabet(alphanumeric + "-_"))
    return {Encoding.BASE32: base32, Encoding.BASE64: base64_either}


_HEX_PAIRS = _hex_pairs()
_ALPHABETS = _alphabets()
