"""What holds for any text at all."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relaion_pipeline import links
from relaion_pipeline.links.canonical import canonicalise_fully
from relaion_pipeline.links.forms import LOSSY, THREATEXCHANGE_FORMS
from relaion_pipeline_tests.links.shared import ANY_TEXT, web_links

RUNS = settings(max_examples=400, deadline=None)


def base_of(form: str) -> str:
    return form if form in THREATEXCHANGE_FORMS else form.partition("+")[0]


@RUNS
@given(ANY_TEXT | web_links())
@example("http://a/&amp;#38;")
@example("http://a/%26amp;amp%3B%2523")
@example("http://a/?&am&#112;;")
@example("http://a/..%2f..//%5c.")
@example("http://xn--a.com..")
def test_canonicalising_is_idempotent(link):
    found = links.canonicalise(link)
    if found is not None:
        again = links.canonicalise(found.canonical)
        assert again == found == canonicalise_fully(found.canonical)
        assert found.canonical.isascii()
        assert found.canonical.startswith(f"{found.scheme}://{found.authority}/")
        assert links.match_key(found.canonical) == links.match_key(link)


@RUNS
@given(web_links())
@example("http://www.www.example.com/a")
@example("http://example.com/a%3Fb/")
@example("http://www./a")
@example("0/ /")
@example("http://example.com/a /")
def test_every_form_leads_to_one_key(link):
    if links.canonicalise(link) is None:
        return
    for name, text in links.forms(link).items():
        if base_of(name) not in LOSSY:
            assert links.match_key(text) == links.match_key(link), name


@RUNS
@given(ANY_TEXT | web_links())
def test_nothing_raises_and_strings_can_be_hashed(link):
    described = links.describe(link)
    assert described.get("unparseable", False) == (links.canonicalise(link) is None)
    assert len(described["expressions"]) <= 30
    forms = described["forms"]
    assert isinstance(forms, dict)
    assert len(set(forms.values())) == len(forms)
    assert set(forms) <= set(links.FORMS)
    for text in (*forms.values(), *described["expressions"], *links.prefix_candidates(link)):
        text.encode()
    assert links.match_key(link) or not link
    links.match_key(link).encode()
    host = links.host_of(link)
    assert host is None or links.domain_candidates(host) is not None
    links.domain_key(link)
    links.prefix_key(link)
    links.refang(link)


@RUNS
@given(web_links())
def test_a_listed_prefix_finds_what_lies_below(link):
    key = links.prefix_key(link)
    if key is not None:
        assert key in links.prefix_candidates(link)
        assert links.prefix_candidates(link)[-1] == links.match_key(link)


@RUNS
@given(ANY_TEXT)
def test_a_domain_key_is_its_own(entry):
    key = links.domain_key(entry)
    if key is not None:
        assert links.domain_key(key) == key
        assert key in links.domain_candidates(key)


LONG = 1_000_000
HUGE = {
    "letters": "http://" + "a" * LONG,
    "labels": "http://" + "a." * (LONG // 2) + "com/",
    "folders": "http://example.com/" + "a/" * (LONG // 2),
    "ups": "http://example.com/" + "a/" * (LONG // 5) + "../" * (LONG // 5),
    "slashes": "http://example.com/" + "/" * LONG,
    "percent": "http://example.com/%" + "25" * (LONG // 2),
    "percent nested": "http://example.com/" + "%25" * (LONG // 8) + "%32%35" * (LONG // 16),
    "percent deep": "http://example.com/" + "%2" * (LONG // 4) + "5" * (LONG // 4),
    "percent alone": "%" * LONG,
    "ampersands": "http://example.com/?" + "&" * LONG,
    "amp chain": "http://example.com/?&" + "amp;" * (LONG // 4),
    "amp nested": "http://example.com/?" + "&am" * (LONG // 9) + "#112;;" * (LONG // 9),
    "amp pairs": "http://example.com/?" + "&amp;" * (LONG // 5),
    "numeric": "http://example.com/?&#" + "0" * LONG + "38;",
    "digits": "http://example.com/?&#" + "9" * LONG + ";",
    "at": "http://" + "a@" * (LONG // 2) + "example.com/",
    "www": "http://" + "www." * (LONG // 4) + "example.com/",
    "dots": "http://" + "." * LONG + "example.com/",
    "accents": "http://example.com/" + "é" * LONG,
    "accents in the host": "http://" + "é" * 20_000 + ".com/",
    "query": "http://example.com/?" + "a=1&" * (LONG // 4),
    "questions": "?" * LONG,
    "blanks": " " * LONG,
    "nul": "\x00" * LONG,
    "surrogates": "http://example.com/" + "\ud800" * (LONG // 10),
    "data": "data:image/png;base64," + "QUJD" * (LONG // 4),
    "brackets": "http://" + "[" * LONG,
    "fangs": "hxxp[:]//" + "a[.]" * (LONG // 4),
    "colons": "a:" * (LONG // 2),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_megabyte_of_anything_ends(name):
    link = HUGE[name]
    started = time.process_time()
    found = links.canonicalise(link)
    assert found is None or links.canonicalise(found.canonical) == found
    assert links.match_key(link)
    links.forms(link)
    links.expressions(link)
    links.prefix_candidates(link)
    links.domain_key(link)
    links.refang(link)
    assert time.process_time() - started < 30


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None)
@given(st.text(max_size=60) | ANY_TEXT | web_links())
def test_fuzz(link):
    test_canonicalising_is_idempotent.hypothesis.inner_test(link)
    test_nothing_raises_and_strings_can_be_hashed.hypothesis.inner_test(link)
    test_every_form_leads_to_one_key.hypothesis.inner_test(link)
