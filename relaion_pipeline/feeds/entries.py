"""The one shape in which every feed reader hands over a partner's entries.

A reader turns a file into Arrow record batches of `ENTRIES`. It never judges an entry (guards do) and never
raises with an entry's text in the message: a malformed entry becomes a row whose `kind` is null and whose
`digest` and `text` are null too, so that only its number travels on.
"""

from enum import StrEnum

import pyarrow as pa


class Kind(StrEnum):
    """What an entry lists, and so what of a row it is compared with."""

    IMAGE_MD5 = "image_md5"
    IMAGE_SHA1 = "image_sha1"
    IMAGE_SHA256 = "image_sha256"
    LINK_MD5 = "link_md5"
    LINK_SHA1 = "link_sha1"
    LINK_SHA256 = "link_sha256"
    LINK = "link"
    DOMAIN = "domain"
    PREFIX = "prefix"
    UNMATCHABLE = "unmatchable"  # PhotoDNA, PDQ, TMK: no metadata column can answer; counted and reported


DIGEST_BYTES = {
    Kind.IMAGE_MD5: 16,
    Kind.IMAGE_SHA1: 20,
    Kind.IMAGE_SHA256: 32,
    Kind.LINK_MD5: 16,
    Kind.LINK_SHA1: 20,
    Kind.LINK_SHA256: 32,
}
"""Length of the raw digest of each hashed kind (RFC 1321, FIPS 180-4)."""

TEXT_KINDS = frozenset({Kind.LINK, Kind.DOMAIN, Kind.PREFIX})

ENTRIES = pa.schema(
    [
        pa.field("entry", pa.uint64(), nullable=False),  # 1-based line or record number in the file
        pa.field("kind", pa.dictionary(pa.int8(), pa.string())),  # a Kind, or null: malformed
        pa.field("digest", pa.binary()),  # raw digest bytes, for hashed kinds
        pa.field("text", pa.string()),  # link, domain or prefix as the partner wrote it (defanging undone)
        pa.field("withdrawn", pa.bool_(), nullable=False),  # the partner takes the entry back (NCMEC deletions)
    ]
)
