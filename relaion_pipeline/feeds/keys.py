"""The one place that turns what is compared into the 128-bit keys that screening joins on.

A key is the first 16 bytes of a digest, as an unsigned 128-bit integer (DuckDB's UHUGEINT). For MD5 that is the
whole digest; for SHA-1 and SHA-256 a prefix that two of 10^11 rows share by accident with a chance below 10^-16.
Byte order is chosen per kind by what DuckDB computes fastest from a row: `md5_number` reads the digest
little-endian, a cast from hexadecimal big-endian.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from relaion_pipeline.feeds.entries import Kind

KEY_BYTES = 16
LITTLE_ENDIAN_KINDS = frozenset({Kind.LINK_MD5})

Words = npt.NDArray[np.uint64]


def split(digests: npt.NDArray[np.uint8], kind: str) -> tuple[Words, Words]:
    """Keys of `digests` (shape (n, length of the digest)) as their high and low 64-bit halves, shape (n,) each."""
    head = np.ascontiguousarray(digests[:, :KEY_BYTES])
    if kind in LITTLE_ENDIAN_KINDS:
        halves = head.view("<u8")
        return halves[:, 1].copy(), halves[:, 0].copy()
    halves = head.view(">u8")
    return halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)


def text_digest(salt: bytes, kind: str, text: str) -> bytes:
    """Keyed digest under which a plain link, domain or prefix is stored: no readable copy stays in `private/`.

    The same as `text_key_sql` computes for a row: SHA-256 over salt (hex), kind and text.
    """
    return hashlib.sha256(_text_prefix(salt, kind).encode() + text.encode("utf-8", "surrogatepass")).digest()


def text_key_sql(salt: bytes, kind: str, text_sql: str) -> str:
    """SQL for the key of a row's match key, host or path prefix."""
    return _from_hex(f"sha256('{_text_prefix(salt, kind)}' || {text_sql})")


def image_key_sql(column_sql: str) -> str:
    """SQL for the key of an image hash in hexadecimal of either case; null where it is not hexadecimal."""
    return f"try_cast('0x' || left(trim({column_sql}), {KEY_BYTES * 2}) as uhugeint)"


def link_key_sql(kind: Kind, link_sql: str) -> str:
    """SQL for the key of one spelling of a link, hashed as lists of `kind` hash it."""
    if kind is Kind.LINK_MD5:
        return f"md5_number({link_sql})"
    function = {Kind.LINK_SHA1: "sha1", Kind.LINK_SHA256: "sha256"}[kind]
    return _from_hex(f"{function}({link_sql})")


def _from_hex(hex_sql: str) -> str:
    return f"('0x' || left({hex_sql}, {KEY_BYTES * 2}))::uhugeint"


def _text_prefix(salt: bytes, kind: str) -> str:
    return f"{salt.hex()}:{kind}:"
