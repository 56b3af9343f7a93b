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
_HASH_FUNCTION = {Kind.LINK_SHA1: "sha1", Kind.LINK_SHA256: "sha256"}

FINGERPRINT_BITS = 44
"""Bits of a fingerprint. 10^4 entries meet one of the 5 * 10^10 spellings in LAION-5B's links by accident 30 times,
each a shard read once for nothing; sorted, one of a shard's ten million takes three bytes."""

LINK_KEY_BITS = 52
"""Bits of a link's private key: 10^5 keys meet one of LAION-5B's 6 * 10^9 links by accident 0.1 times."""

Words = npt.NDArray[np.uint64]


def split(digests: npt.NDArray[np.uint8], kind: str) -> tuple[Words, Words]:
    """Keys of `digests` (shape (n, length of the digest)) as their high and low 64-bit halves, shape (n,) each."""
    head = np.ascontiguousarray(digests[:, :KEY_BYTES])
    if kind in LITTLE_ENDIAN_KINDS:
        halves = head.view("<u8")
        return halves[:, 1].copy(), halves[:, 0].copy()
    halves = head.view(">u8")
    return halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)


def fingerprints(lows: Words, kind: str) -> Words:
    """Fingerprints of keys of `kind` from their low halves, shape (n,): see `fingerprint_of_low_sql`."""
    return (lows ^ np.uint64(_mark(kind))) >> np.uint64(64 - FINGERPRINT_BITS)


def text_digest(salt: bytes, kind: str, text: str) -> bytes:
    """Keyed digest under which a plain link, domain or prefix is stored: no readable copy stays in `private/`.

    The same as `text_key_sql` computes for a row: SHA-256 over salt (hex), kind and text.
    """
    return hashlib.sha256(_text_prefix(salt, kind).encode() + text.encode("utf-8", "surrogatepass")).digest()


def fingerprint_of_low_sql(kind: str, low_sql: str) -> str:
    """SQL for the fingerprint of a key of `kind` from its low half: what the index of a shard holds of the key."""
    return f"(xor({low_sql}, {_mark(kind)}::ubigint) >> {64 - FINGERPRINT_BITS})"


def text_fingerprint_sql(salt: bytes, kind: str, text_sql: str) -> str:
    """SQL for the fingerprint of a row's match key or host; null for null."""
    return fingerprint_of_low_sql(kind, _low_of_hex(f"sha256('{_text_prefix(salt, kind)}' || {text_sql})"))


def image_fingerprint_sql(kind: str, column_sql: str) -> str:
    """SQL for the fingerprint of an image hash in hexadecimal of either case; null where it is not hexadecimal."""
    low = f"try_cast('0x' || nullif(substr(trim({column_sql}), {KEY_BYTES + 1}, {KEY_BYTES}), '') AS ubigint)"
    return fingerprint_of_low_sql(kind, low)


def link_fingerprint_sql(kind: Kind, link_sql: str) -> str:
    """SQL for the fingerprint of one spelling of a link, hashed as lists of `kind` hash it; null for null."""
    if kind is Kind.LINK_MD5:
        low = f"md5_number_upper({link_sql})"  # DuckDB's name for the first eight bytes, which are this key's low half
    else:
        low = _low_of_hex(f"{_HASH_FUNCTION[kind]}({link_sql})")
    return fingerprint_of_low_sql(kind, low)


def private_link_key_sql(salt: bytes, link_sql: str) -> str:
    """SQL for the key, of `LINK_KEY_BITS` bits, under which `private/` knows a link as it is written; null for null."""
    return f"({_private_sql(salt, 'link as written', link_sql)} >> {64 - LINK_KEY_BITS})"


def private_row_key_sql(salt: bytes, link_sql: str, text_sql: str) -> str:
    """SQL for the 64-bit key under which `private/` knows a row by its link and text, null or not."""
    marked = (f"coalesce(strlen({each}) || ':' || {each}, '-')" for each in (link_sql, text_sql))
    return _private_sql(salt, "row", " || ".join(marked))


def _private_sql(salt: bytes, purpose: str, text_sql: str) -> str:
    return f"md5_number_upper('{_text_prefix(salt, purpose)}' || {text_sql})"


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
    return _from_hex(f"{_HASH_FUNCTION[kind]}({link_sql})")


def _mark(kind: str) -> int:
    """What keeps the fingerprints of different kinds apart."""
    return int.from_bytes(hashlib.sha256(kind.encode()).digest()[:8], "big")


def _low_of_hex(hex_sql: str) -> str:
    return f"('0x' || substr({hex_sql}, {KEY_BYTES + 1}, {KEY_BYTES}))::ubigint"


def _from_hex(hex_sql: str) -> str:
    return f"('0x' || left({hex_sql}, {KEY_BYTES * 2}))::uhugeint"


def _text_prefix(salt: bytes, kind: str) -> str:
    return f"{salt.hex()}:{kind}:"
