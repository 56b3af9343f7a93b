"""STIX 2.1: indicators' patterns, and observables that a bundle lists by themselves."""

import re
from typing import Any

from relaion_pipeline.feeds.batches import Rows
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.feeds.partners import JsonReader, add
from relaion_pipeline.feeds.records import image_kind

_TEXT_OBJECTS = {
    "url": Kind.LINK,
    "domain-name": Kind.DOMAIN,
    "ipv4-addr": Kind.DOMAIN,  # links may name their host by address
    "ipv6-addr": Kind.DOMAIN,
}
_FILE_OBJECTS = frozenset({"file", "artifact"})
_CONTEXT = frozenset(
    {
        "attack-pattern",
        "campaign",
        "course-of-action",
        "grouping",
        "identity",
        "incident",
        "infrastructure",
        "intrusion-set",
        "location",
        "malware",
        "malware-analysis",
        "note",
        "observed-data",
        "opinion",
        "report",
        "threat-actor",
        "tool",
        "vulnerability",
        "relationship",
        "sighting",
        "bundle",
        "marking-definition",
        "language-content",
        "extension-definition",
    }
)
"""Objects that describe and list nothing: no entries."""

_STRING = r"'(?:[^'\\]|\\.)*'"
_COMPARISON = re.compile(
    rf"""(?P<object>[a-z0-9-]+):(?P<path>(?:[\w.\-\[\]*]|{_STRING})+)\s*
         (?P<not>NOT\s+)?(?P<operator>=|!=|<=|>=|<|>|IN|LIKE|MATCHES|ISSUBSET|ISSUPERSET)\s*
         (?P<values>{_STRING}|\(\s*{_STRING}(?:\s*,\s*{_STRING})*\s*\)|[^\s\]]+)""",
    re.VERBOSE,
)
_LITERAL = re.compile(_STRING)
_ESCAPE = re.compile(r"\\(.)")
_MAX_PATTERN = 1 << 20


class Stix(JsonReader):
    """A bundle, a TAXII envelope, or a plain list of objects."""

    page_key = "objects"

    def record(self, number: int, record: dict[str, Any], rows: Rows) -> None:
        kind = str(record.get("type"))
        withdrawn = record.get("revoked") is True
        if kind == "indicator":
            self._pattern(number, record, rows, withdrawn=withdrawn)
        elif kind in _TEXT_OBJECTS:
            _add_text(rows, number, kind, record.get("value"), withdrawn=withdrawn)
        elif kind in _FILE_OBJECTS:
            hashes = record.get("hashes")
            for name, value in hashes.items() if isinstance(hashes, dict) else ():
                add(rows, number, image_kind(name), value, withdrawn=withdrawn)
            if isinstance(record.get("url"), str):
                rows.text(number, Kind.LINK, record["url"], withdrawn=withdrawn)
            if not hashes and not record.get("url"):
                rows.unmatchable(number, withdrawn=withdrawn)
        elif kind not in _CONTEXT:
            rows.unmatchable(number, withdrawn=withdrawn)  # mutexes, processes, mail addresses, other people's types

    def _pattern(self, number: int, record: dict[str, Any], rows: Rows, *, withdrawn: bool) -> None:
        """An entry for each comparison: alternatives list each, and conditions are widened to any of their parts."""
        pattern = record.get("pattern")
        if record.get("pattern_type", "stix") != "stix":
            rows.unmatchable(number, withdrawn=withdrawn)
            return
        comparisons = []
        if isinstance(pattern, str) and len(pattern) <= _MAX_PATTERN:
            comparisons = list(_COMPARISON.finditer(pattern))
        if not comparisons:
            rows.malformed(number)
        for comparison in comparisons:
            values = [_ESCAPE.sub(r"\1", v[1:-1]) for v in _LITERAL.findall(comparison["values"])]
            if comparison["not"] or comparison["operator"] not in ("=", "IN") or not values:
                rows.unmatchable(number, withdrawn=withdrawn)
                continue
            for value in values:
                _add_observable(rows, number, comparison["object"], comparison["path"], value, withdrawn=withdrawn)


def _add_observable(rows: Rows, number: int, object_: str, path: str, value: str, *, withdrawn: bool) -> None:
    if object_ in _TEXT_OBJECTS and path == "value":
        _add_text(rows, number, object_, value, withdrawn=withdrawn)
    elif object_ in _FILE_OBJECTS and path.startswith("hashes."):
        add(rows, number, image_kind(path.removeprefix("hashes.")), value, withdrawn=withdrawn)
    elif object_ == "artifact" and path == "url":
        rows.text(number, Kind.LINK, value, withdrawn=withdrawn)
    else:
        rows.unmatchable(number, withdrawn=withdrawn)


def _add_text(rows: Rows, number: int, object_: str, value: object, *, withdrawn: bool) -> None:
    if object_.endswith("-addr") and isinstance(value, str) and "/" in value:
        rows.unmatchable(number, withdrawn=withdrawn)  # a network; a link names an address
    else:
        rows.text(number, _TEXT_OBJECTS[object_], value, withdrawn=withdrawn)
