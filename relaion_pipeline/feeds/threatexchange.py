"""Meta ThreatExchange: `signal_type value` lines, descriptor pages and threat updates."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from relaion_pipeline.feeds.batches import Rows, as_text, collected
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.feeds.lines import each_line
from relaion_pipeline.feeds.partners import JsonReader, add
from relaion_pipeline.feeds.streams import Source

_SIGNALS = {
    "md5": Kind.IMAGE_MD5,
    "photo_md5": Kind.IMAGE_MD5,
    "video_md5": Kind.IMAGE_MD5,
    "sha1": Kind.IMAGE_SHA1,
    "sha256": Kind.IMAGE_SHA256,
    "url": Kind.LINK,
    "url_md5": Kind.LINK_MD5,
    "domain": Kind.DOMAIN,
} | dict.fromkeys(
    ["pdq", "pdq_ocr", "vpdq", "photodna", "tmk", "video_tmk", "raw_text", "text_tlsh", "tlsh_pdf", "trend_query"],
    Kind.UNMATCHABLE,
)
"""By the signal names of the python-threatexchange library."""

_INDICATORS = {
    "HASH_MD5": Kind.IMAGE_MD5,
    "HASH_VIDEO_MD5": Kind.IMAGE_MD5,
    "HASH_SHA1": Kind.IMAGE_SHA1,
    "HASH_SHA256": Kind.IMAGE_SHA256,
    "HASH_URL_MD5": Kind.LINK_MD5,
    "URI": Kind.LINK,
    "DOMAIN": Kind.DOMAIN,
} | dict.fromkeys(
    [
        "HASH_PDQ",
        "HASH_PDQ_OCR",
        "HASH_VPDQ",
        "HASH_PDNA",
        "HASH_PHOTODNA",
        "HASH_TMK",
        "HASH_TEXT_TLSH",
        "HASH_TEXT_SHA256",  # of a text, not of an image
        "HASH_RAW_TEXT",
        "TEXT_STRING",
        "TREND_QUERY",
        "DEBUG_STRING",
        "IP_ADDRESS",
        "IP_SUBNET",
        "EMAIL_ADDRESS",
    ],
    Kind.UNMATCHABLE,
)
"""By ThreatExchange's IndicatorType."""

_HEAD = 4096


class ThreatExchange(JsonReader):
    """Lines or JSON, told apart by the first character: no signal's name starts with a bracket."""

    page_key = "data"

    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        if source.peek(_HEAD).lstrip()[:1] in (b"{", b"["):
            return super().read(source)
        rows = Rows()
        return collected(rows, self._lines(source, rows))

    def record(self, number: int, record: dict[str, Any], rows: Rows) -> None:
        # A partner who calls an indicator harmless takes back that it is listed.
        withdrawn = record.get("should_delete") is True or record.get("status") == "NON_MALICIOUS"
        value = record.get("raw_indicator") or record.get("indicator")
        if isinstance(value, dict):
            value = value.get("indicator")
        add(rows, number, _INDICATORS.get(str(record.get("type"))), value, withdrawn=withdrawn)

    def _lines(self, source: Source, rows: Rows) -> Iterator[None]:
        for number, raw in each_line(source):
            signal, _, value = ("", "", "") if raw is None else (as_text(raw, Kind.LINK) or "").partition(" ")
            add(rows, number, _SIGNALS.get(signal.lower()), value)
            yield
