import base64
import hashlib
import json
from typing import Any

import pytest

from relaion_pipeline.feeds import records
from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline_tests.feeds.conftest import Load, brief

MD5 = hashlib.md5(b"invented").hexdigest()
SHA1 = hashlib.sha1(b"invented").digest()
SHA256 = hashlib.sha256(b"invented").hexdigest()
PDQ = "f0" * 32

STOPNCII = [
    {"signalType": "ImagePDQ", "hashValue": PDQ, "hashStatus": "Received", "caseNumbers": {}},
    {"signalType": "VideoMD5", "hashValue": MD5, "hashStatus": "Active", "CSPFeedbacks": [{"tags": ["x"]}]},
    {"signalType": "VideoMD5", "hashValue": MD5.upper(), "hashStatus": "Withdrawn"},
    {"signalType": "URL", "hashValue": "https://a.example/x", "hashStatus": "Deleted"},
    {"signalType": "VideoMD5", "hashValue": MD5[:-1], "hashStatus": "Active"},
    {"signalType": "Smell", "hashValue": "x"},
    "no record",
    {},
]
STOPNCII_ROWS = [
    (1, "unmatchable", None, False),
    (2, "image_md5", MD5, False),
    (3, "image_md5", MD5, True),
    (4, "link", "https://a.example/x", True),
    (5, None, None, False),
    (6, None, None, False),
    (7, None, None, False),
    (8, None, None, False),
]


def declared(load: Load, name: str, content: Any) -> list[tuple[Any, ...]]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return brief(load(raw, format=name, kind="declared"))


def test_stopncii_pages(load: Load) -> None:
    page = {"count": 8, "nextSetTimestamp": 1, "nextPageToken": "x", "hasMoreRecords": False, "hashRecords": STOPNCII}
    assert declared(load, "stopncii", page) == STOPNCII_ROWS
    first, rest = page | {"hashRecords": STOPNCII[:3]}, page | {"hashRecords": STOPNCII[3:]}
    assert declared(load, "stopncii", [first, rest]) == STOPNCII_ROWS
    assert declared(load, "stopncii", json.dumps(first).encode() + b"\n" + json.dumps(rest).encode()) == STOPNCII_ROWS


def test_stopncii_records_without_page(load: Load) -> None:
    assert declared(load, "stopncii", STOPNCII) == STOPNCII_ROWS
    lines = b"\n".join(json.dumps(record).encode() for record in STOPNCII if isinstance(record, dict))
    assert [row[1:] for row in declared(load, "stopncii", lines)] == [r[1:] for r in STOPNCII_ROWS if r[0] != 7]


def test_tech_against_terrorism(load: Load) -> None:
    entries = [
        {
            "hash_digest": MD5,
            "algorithm": "MD5",
            "ideology": "far-right",
            "file_type": "png",
            "deleted": False,
            "id": 1,
        },
        {"hash_digest": SHA256, "algorithm": "SHA256", "deleted": True, "id": 2},
        {"hash_digest": SHA1.hex(), "algorithm": "SHA-1", "id": 3},
        {"hash_digest": PDQ, "algorithm": "PDQ", "id": 4},
        {"hash_digest": MD5, "algorithm": "SHA256", "id": 5},
        {"hash_digest": MD5, "algorithm": None, "id": 6},
        {"hash_digest": [MD5], "algorithm": "MD5", "id": 7},
    ]
    expected = [
        (1, "image_md5", MD5, False),
        (2, "image_sha256", SHA256, True),
        (3, "image_sha1", SHA1.hex(), False),
        (4, "unmatchable", None, False),
        *((n, None, None, False) for n in (5, 6, 7)),
    ]
    assert declared(load, "tat", entries) == expected
    assert declared(load, "tat", {"count": 7, "next": None, "results": entries}) == expected


def test_c3p(load: Load) -> None:
    entries = [
        {"sha1_base32": base64.b32encode(SHA1).decode(), "sha256_hex": SHA256, "classification": "csam"},
        {"md5": MD5, "pdq": PDQ},
        {"sha1_base32": "2" * 31, "url": "https://a.example/x"},
        {"sha1": SHA1.hex()},  # declared base32: 40 characters are none
        {"classification": "csam"},
    ]
    expected = [
        (1, "image_sha1", SHA1.hex(), False),
        (1, "image_sha256", SHA256, False),
        (2, "image_md5", MD5, False),
        (2, "unmatchable", None, False),
        (3, None, None, False),
        (3, "link", "https://a.example/x", False),
        (4, None, None, False),
        (5, None, None, False),
    ]
    assert declared(load, "c3p", entries) == expected
    assert declared(load, "c3p", {"results": entries}) == expected
    assert declared(load, "c3p", b"\n".join(json.dumps(e).encode() for e in entries)) == expected


def test_threatexchange_lines(load: Load) -> None:
    content = (
        f"# made up\npdq {PDQ}\nvideo_md5 {MD5}\nURL https://a.example/x y\nurl_md5 {MD5}\nsmell x\nmd5\n\nmd5  {MD5}\n"
    )
    assert declared(load, "threatexchange", content.encode()) == [
        (2, "unmatchable", None, False),
        (3, "image_md5", MD5, False),
        (4, "link", "https://a.example/x y", False),
        (5, "link_md5", MD5, False),
        (6, None, None, False),
        (7, None, None, False),
        (9, "image_md5", MD5, False),
    ]


def test_threatexchange_descriptors_and_updates(load: Load) -> None:
    page = {
        "data": [
            {"id": "1", "raw_indicator": MD5, "type": "HASH_MD5", "status": "MALICIOUS"},
            {"id": "2", "raw_indicator": PDQ, "type": "HASH_PDQ"},
            {"id": "3", "raw_indicator": "a.example", "type": "DOMAIN", "status": "NON_MALICIOUS"},
            {"id": "4", "indicator": "https://a.example/x", "type": "URI", "should_delete": True},
            {"id": "5", "indicator": {"id": "9", "indicator": "https://b.example/x"}, "type": "URI"},
            {"id": "6", "raw_indicator": MD5, "type": "HASH_SMELL"},
        ],
        "paging": {"cursors": {"before": "x"}},
    }
    assert declared(load, "threatexchange", page) == [
        (1, "image_md5", MD5, False),
        (2, "unmatchable", None, False),
        (3, "domain", "a.example", True),
        (4, "link", "https://a.example/x", True),
        (5, "link", "https://b.example/x", False),
        (6, None, None, False),
    ]


def test_jsonl(load: Load) -> None:
    content = b'\n{"a":{"md5":"%s"}}\n{"a":1}\n[1]\nno json\n{"a":{"md5":7}}\n' % MD5.encode() + b"[" * 100_000
    rows = brief(load(content, format="jsonl", kind="image", hash="md5", column="a.md5"))
    assert rows == [(2, "image_md5", MD5, False), *((n, None, None, False) for n in (3, 4, 5, 6, 7))]
    strings = b'"https://a.example/x"\n"\\ud800"\n" "\n'
    assert brief(load(strings, format="jsonl", kind="link")) == [
        (1, "link", "https://a.example/x", False),
        (2, None, None, False),
        (3, None, None, False),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'[{"hash_digest": "secret', "not valid JSON"),
        (b'[{"hash_digest": secret}]', "not valid JSON"),
        (b'[{"a": 1' + b"0" * 5000 + b"}]", "a number beyond 64 bits"),  # crashes ijson's C backend if let
        (b'["\xed\xa0\x80 secret"]', "not valid JSON"),
        (b"\xff\xfe\xfd secret", "not valid JSON|is damaged"),
        (b"[" * 10_000_000, "nested deeper than 64"),
        (b'{"results":[{"a":' * 200_000, "nested deeper than 64"),
        (b'[{"a":' + b"[" * 100 + b"]" * 100 + b"}]", "nested deeper than 64"),
    ],
)
def test_bad_json_is_an_error_that_quotes_nothing(load: Load, content: bytes, says: str) -> None:
    with pytest.raises(FeedError, match=says) as caught:
        declared(load, "tat", content)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_an_endless_record_is_refused(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD", 1 << 20)
    with pytest.raises(FeedError, match="a record of more than"):
        declared(load, "tat", b'[{"hash_digest": "' + b"a" * 5_000_000 + b'"}]')
    many = [{"hash_digest": MD5, "algorithm": "MD5"}] * 50_000  # more than that in all, but not in one record
    assert len(declared(load, "tat", many)) == 50_000
