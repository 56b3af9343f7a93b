"""MISP events and attribute lists."""

from typing import Any

from relaion_pipeline.feeds.batches import Rows
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.feeds.partners import JsonReader, add
from relaion_pipeline.feeds.records import IMAGE_KINDS
from relaion_pipeline.feeds.streams import Source

_KINDS = IMAGE_KINDS | {
    "malware-sample": Kind.IMAGE_MD5,
    "url": Kind.LINK,
    "uri": Kind.LINK,
    "link": Kind.LINK,
    "domain": Kind.DOMAIN,
    "hostname": Kind.DOMAIN,
    "ip-dst": Kind.DOMAIN,  # links may name their host by address
    "ip-src": Kind.DOMAIN,
}
_EVENT = ("", "Event.", "response[].", "response[].Event.", "[].", "[].Event.")
_LAST_PART = frozenset({"malware-sample"})


class Misp(JsonReader):
    """Attributes of events and of their objects. `to_ids = false` says of one that it is context, not an indicator."""

    page_key = "Attribute"

    def paths(self, source: Source) -> frozenset[str]:  # noqa: ARG002  (the same for every document)
        places = {f"{event}{holder}" for event in _EVENT for holder in ("Attribute[]", "Object[].Attribute[]")}
        return frozenset(places | {"response.Attribute[]"})

    def record(self, number: int, record: dict[str, Any], rows: Rows) -> None:
        withdrawn = record.get("deleted") in (True, 1, "1")
        name, value = record.get("type"), record.get("value")
        if not isinstance(name, str) or not isinstance(value, str):
            rows.malformed(number)
        elif record.get("to_ids") in (False, 0, "0"):
            rows.unmatchable(number, withdrawn=withdrawn)
        else:
            part, text = _part(name, value)
            add(rows, number, _KINDS.get(part, Kind.UNMATCHABLE), text, withdrawn=withdrawn)


def _part(name: str, value: str) -> tuple[str, str]:
    """The half of a composite attribute that can be matched: `filename|md5` and `domain|ip` hold two values."""
    first, bar, second = name.partition("|")
    before, _, after = value.partition("|")
    if first == "filename" and bar:
        return second, after
    if bar:
        return first, before
    return name, after if name in _LAST_PART else value
