"""STIX 2.1 and MISP."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from relaion_pipeline_tests.feeds.conftest import Load, brief, feed_of, rows_of

MD5 = hashlib.md5(b"invented").hexdigest()
SHA256 = hashlib.sha256(b"invented").hexdigest()


def declared(load: Load, name: str, content: Any) -> list[tuple[Any, ...]]:
    return brief(load(json.dumps(content).encode(), format=name, kind="declared"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (f"[file:hashes.MD5 = '{MD5}']", [("image_md5", MD5)]),
        (f"[file:hashes.'SHA-256' = '{SHA256}']", [("image_sha256", SHA256)]),
        ("[url:value = 'https://a.example/x']", [("link", "https://a.example/x")]),
        (r"[url:value = 'https://a.example/\'x\\']", [("link", r"https://a.example/'x" + "\\")]),
        ("[domain-name:value='a.example']", [("domain", "a.example")]),
        ("[ipv4-addr:value = '198.51.100.7']", [("domain", "198.51.100.7")]),
        ("[ipv4-addr:value = '198.51.100.0/24']", [("unmatchable", None)]),
        (
            "[url:value IN ('https://a.example/', 'https://b.example/')]",
            [("link", "https://a.example/"), ("link", "https://b.example/")],
        ),
        (
            f"([file:hashes.MD5 = '{MD5}' AND file:name = 'x'] OR [domain-name:value = 'a.example']) WITHIN 5 SECONDS",
            [("image_md5", MD5), ("unmatchable", None), ("domain", "a.example")],
        ),
        ("[url:value LIKE 'https://a.example/%']", [("unmatchable", None)]),
        ("[url:value != 'https://a.example/']", [("unmatchable", None)]),
        ("[url:value NOT = 'https://a.example/']", [("unmatchable", None)]),
        ("[file:size > 25]", [("unmatchable", None)]),
        ("[file:hashes.'SHA-512' = 'ff']", [("unmatchable", None)]),
        (f"[file:hashes.MD5 = '{MD5[:-1]}']", [(None, None)]),
        ("url = https://a.example", [(None, None)]),
        (7, [(None, None)]),
        ("[" * 100_000, [(None, None)]),
    ],
)
def test_stix_patterns(load: Load, pattern: Any, expected: list[tuple[str | None, str | None]]) -> None:
    bundle = {"type": "bundle", "objects": [{"type": "identity"}, {"type": "indicator", "pattern": pattern}]}
    assert declared(load, "stix", bundle) == [(2, kind, value, False) for kind, value in expected]


def test_stix_observables_revocations_and_other_pattern_languages(load: Load) -> None:
    objects = [
        {"type": "url", "value": "https://a.example/x"},
        {"type": "file", "hashes": {"MD5": MD5, "SHA-256": SHA256, "SSDEEP": "3::", "SMELL": "x"}},
        {"type": "file", "name": "x"},
        {"type": "artifact", "url": "https://a.example/y"},
        {"type": "mutex", "name": "x"},
        {"type": "indicator", "pattern": "[url:value = 'https://b.example/']", "revoked": True},
        {"type": "indicator", "pattern": "alert tcp", "pattern_type": "snort"},
    ]
    expected = [
        (1, "link", "https://a.example/x", False),
        (2, "image_md5", MD5, False),
        (2, "image_sha256", SHA256, False),
        (2, "unmatchable", None, False),
        (2, None, None, False),
        (3, "unmatchable", None, False),
        (4, "link", "https://a.example/y", False),
        (5, "unmatchable", None, False),
        (6, "link", "https://b.example/", True),
        (7, "unmatchable", None, False),
    ]
    for content in (objects, {"more": False, "objects": objects}, [{"type": "bundle", "objects": objects}]):
        assert declared(load, "stix", content) == expected


def test_the_stix_committees_examples(shared_data: Path) -> None:
    rows = rows_of(shared_data, feed_of(files="feeds/stix21*.json", format="stix", kind="declared"))
    found = {kind: sum(r["kind"] == kind for r in rows) for kind in {r["kind"] for r in rows}}
    assert found == {"unmatchable": 42, "domain": 25, "image_sha256": 13, "image_md5": 1, "image_sha1": 1, "link": 1}


def attributes() -> list[Any]:
    return [
        {"type": "url", "value": "https://a.example/x", "to_ids": True},
        {"type": "url", "value": "https://a.example/y", "to_ids": False},
        {"type": "filename|md5", "value": f"x|y.jpg|{MD5}".replace("x|", "")},
        {"type": "domain|ip", "value": "a.example|198.51.100.7"},
        {"type": "malware-sample", "value": f"x.jpg|{MD5}"},
        {"type": "sha256", "value": SHA256, "deleted": True},
        {"type": "md5", "value": "x"},
        {"type": "text", "value": "x"},
        {"type": "md5"},
    ]


MISP_ROWS = [
    (1, "link", "https://a.example/x", False),
    (2, "unmatchable", None, False),
    (3, "image_md5", MD5, False),
    (4, "domain", "a.example", False),
    (5, "image_md5", MD5, False),
    (6, "image_sha256", SHA256, True),
    (7, None, None, False),
    (8, "unmatchable", None, False),
    (9, None, None, False),
]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda a: {"Attribute": a},
        lambda a: {"Event": {"info": "x", "Attribute": a[:4], "Object": [{"name": "file", "Attribute": a[4:]}]}},
        lambda a: {"response": [{"Event": {"Attribute": a, "ShadowAttribute": [{"type": "md5"}]}}]},
        lambda a: {"response": {"Attribute": a}},
        lambda a: [{"Event": {"Attribute": a}}],
    ],
)
def test_misp(load: Load, wrap: Any) -> None:
    assert declared(load, "misp", wrap(attributes())) == MISP_ROWS


def test_a_real_misp_event_holds_context_only(shared_data: Path) -> None:
    rows = rows_of(shared_data, feed_of(files="feeds/pymisp*.json", format="misp", kind="declared"))
    assert [row["kind"] for row in rows] == ["unmatchable", "unmatchable"]
