"""The table of forms: every one documented, described, and what it says it is."""

import re
from pathlib import Path

from relaion_pipeline.links import FORMS, describe, forms
from relaion_pipeline.links.forms import BASES, COMBINATIONS, SINGLE, THREATEXCHANGE, THREATEXCHANGE_FORMS

PAGE = Path(__file__).parents[2] / "docs" / "links.md"


def test_every_form_is_on_the_page():
    named = set(re.findall(r"`([a-z_]+)`", PAGE.read_text(encoding="utf-8")))
    assert {*BASES, *SINGLE, THREATEXCHANGE, "safe_browsing"} <= named


def test_names_and_reasons():
    assert len(FORMS) == len(set(FORMS)) == len(BASES) + len(SINGLE) + len(THREATEXCHANGE_FORMS) + len(COMBINATIONS)
    assert all(BASES.values())
    assert all(SINGLE.values())


def test_each_single_form():
    link = "HTTP://www.Example.com:80/A/?b=1&amp;c=%c3%a9#x"
    wanted = {
        "exact": link,
        "canonical": "http://www.example.com/A/?b=1&c=%C3%A9",
        "whatwg": "http://www.example.com/A/?b=1&c=%c3%a9",
        "entity_decoded": "HTTP://www.Example.com:80/A/?b=1&c=%c3%a9#x",
        "entity_encoded": "http://www.example.com/A/?b=1&amp;c=%C3%A9",
        "percent_decoded": "HTTP://www.Example.com:80/A/?b=1&amp;c=é#x",
        "decoded": "http://www.example.com/A/?b=1&c=é",
        "percent_lower": "http://www.example.com/A/?b=1&c=%c3%a9",
        "unicode_host": "http://www.example.com/A/?b=1&c=%C3%A9",
        "unicode": "http://www.example.com/A/?b=1&c=é",
        "no_scheme": "www.example.com/A/?b=1&c=%C3%A9",
        "http": "http://www.example.com/A/?b=1&c=%C3%A9",
        "https": "https://www.example.com/A/?b=1&c=%C3%A9",
        "www": "http://www.example.com/A/?b=1&c=%C3%A9",
        "no_www": "http://example.com/A/?b=1&c=%C3%A9",
        "slash": "http://www.example.com/A/?b=1&c=%C3%A9",
        "no_slash": "http://www.example.com/A?b=1&c=%C3%A9",
        "threatexchange": "www.example.com:80/a/?b=1&amp;c=%c3%a9#x",
        "threatexchange+no_www+no_slash": "example.com/a?b=1&c=%c3%a9",
        "canonical+https+no_www+no_slash": "https://example.com/A?b=1&c=%C3%A9",
        "unicode+no_scheme+www+slash": "www.example.com/A/?b=1&c=é",
    }
    assert {name: forms(link, [name])[name] for name in wanted} == wanted


def test_no_slash_is_added_behind_a_file_but_one_is_taken_off():
    assert "http://example.com/a.JPG/" not in forms("http://example.com/a.JPG").values()
    assert "http://example.com/a.jpg" in forms("http://example.com/a.jpg/").values()
    assert "http://example.com/v1.0/" in forms("http://example.com/v1.0").values()


def test_no_www_before_an_address():
    assert not [text for text in forms("http://192.0.2.7/a").values() if "www." in text]


def test_an_unparseable_link_keeps_its_text():
    described = describe("http://exa mple.com/a")
    assert described["unparseable"] is True
    assert described["canonical"] is None
    assert described["expressions"] == []
    assert forms("data:x") == {"exact": "data:x"}


def test_described_link():
    described = describe("http://Example.com/a")
    assert list(described) == ["link", "canonical", "host", "forms", "expressions"]
    assert described["host"] == "example.com"
