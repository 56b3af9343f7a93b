from pathlib import Path

import pytest

from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline_tests.feeds.conftest import Load, feed_of, rows_of, texts

FORMS = {"nl": "text", "hosts": "hosts", "adguard": "adguard", "dnsmasq": "dnsmasq"}


@pytest.mark.parametrize(("name", "count"), [("piracy", 2154), ("torrent", 2620)])
def test_a_real_list_loads_alike_in_four_formats(shared_data: Path, name: str, count: int) -> None:
    found = {
        form: {r["text"] for r in rows_of(shared_data, feed_of(files=f"lists/blp_{name}.{form}.txt", format=reader))}
        for form, reader in FORMS.items()
    }
    assert all(domains == found["nl"] for domains in found.values())
    assert len(found["nl"]) == count
    assert None not in found["nl"]


def test_a_real_wildcard_list(shared_data: Path) -> None:
    rows = rows_of(shared_data, feed_of(files="lists/stevenblack_base.wildcard.txt", format="wildcard"))
    assert len(rows) == 85_291  # as its header says
    assert not any(row["text"] is None or "*" in row["text"] for row in rows)


@pytest.mark.parametrize(
    ("file", "kind", "count"),
    [("gambling_domains", "domain", 32_247), ("games_urls", "prefix", 1_655), ("mixed_adult_domains", "domain", 149)],
)
def test_real_ut1_lists_without_schemes(shared_data: Path, file: str, kind: str, count: int) -> None:
    rows = rows_of(shared_data, feed_of(files=f"lists/ut1__{file}", format="ut1", kind=kind))
    lines = (shared_data / "lists" / f"ut1__{file}").read_text().splitlines()
    assert [(r["kind"], r["text"]) for r in rows] == [(kind, line.strip()) for line in lines]
    assert len(rows) == count


def test_a_ut1_folder_says_by_its_names_what_it_lists(load: Load) -> None:
    files = {
        "ut1/adult/domains": b"a.example\n",
        "ut1/adult/urls": b"b.example/x\n",
        "ut1/adult/expressions": b"(a|b)\\.example\n",
        "ut1/adult/usage": b"black\n",
        "ut1/games/domains.gz": b"c.example\n",
    }
    rows = load(files, files="ut1/*", format="ut1", kind="declared")
    assert [(r["file"], r["kind"], r["text"]) for r in rows] == [
        ("ut1/adult/domains", "domain", "a.example"),
        ("ut1/adult/expressions", "unmatchable", None),
        ("ut1/adult/urls", "prefix", "b.example/x"),
        ("ut1/games/domains.gz", "domain", "c.example"),
    ]


def test_a_ut1_file_of_another_name_needs_a_kind(load: Load) -> None:
    with pytest.raises(FeedError, match="neither 'domains' nor 'urls'"):
        load(b"a.example\n", format="ut1", kind="declared")


def kinds(rows: list) -> list[tuple[int, str | None, str | None]]:
    return [(r["entry"], r["kind"], r["text"]) for r in rows]


def test_hosts(load: Load) -> None:
    content = (
        b"127.0.0.1 localhost\n::1 ip6-localhost localhost\nfe80::1%lo0 localhost\n\n"
        b"0.0.0.0\ta.example  b.example # two\n:: c.example\nd.example\n0.0.0.0\n"
        b"#0.0.0.0 e.example\n0.0.0.0 \xff.example\n"
    )
    assert kinds(load(content, format="hosts")) == [
        (5, "domain", "a.example"),
        (5, "domain", "b.example"),
        (6, "domain", "c.example"),
        (7, None, None),
        (8, None, None),
        (10, None, None),
    ]


@pytest.mark.parametrize(
    ("rule", "kind", "text"),
    [
        ("||a.example^", "domain", "a.example"),
        ("||a.example", "domain", "a.example"),
        ("||*.a.example^", "domain", "a.example"),
        ("||a.example^$important,third-party", "domain", "a.example"),
        ("||a.example^|", "domain", "a.example"),
        ("||a.example/", "domain", "a.example"),
        ("a.example", "domain", "a.example"),
        ("*.a.example", "domain", "a.example"),
        ("0.0.0.0 a.example", "domain", "a.example"),
        ("||a.example/x/y", "prefix", "a.example/x/y"),
        ("|https://a.example/x^", "prefix", "https://a.example/x"),
        ("/banner/x", "unmatchable", None),
        ("x/ads/", "unmatchable", None),
        ("@@||a.example^", "unmatchable", None),
        ("/ads[0-9]+/", "unmatchable", None),
        ("a.example##.banner", "unmatchable", None),
        ("a.example#@#.banner", "unmatchable", None),
        ("||a.*^", "unmatchable", None),
        ("||a.example^*/x", "unmatchable", None),
    ],
)
def test_adguard(load: Load, rule: str, kind: str, text: str | None) -> None:
    content = f"[Adblock Plus 2.0]\n! Title: made up\n# remark\n{rule}\n".encode()
    assert kinds(load(content, format="adguard")) == [(4, kind, text)]


def test_dnsmasq(load: Load) -> None:
    content = (
        b"server=/a.example/\naddress=/b.example/c.example/0.0.0.0 # two\nlocal=/.d.example/\naddress=/e.example/::\n"
        b"server=/f.example/#\nserver=g.example\naddress=/#/0.0.0.0\n"
    )
    assert kinds(load(content, format="dnsmasq")) == [
        (1, "domain", "a.example"),
        (2, "domain", "b.example"),
        (2, "domain", "c.example"),
        (3, "domain", "d.example"),
        (4, "domain", "e.example"),
        (5, "unmatchable", None),
        (6, None, None),
        (7, "unmatchable", None),
    ]


def test_squid(load: Load) -> None:
    content = b".a.example\nb.example # x\nacl bad dstdomain -n .c.example d.example\nacl bad url_regex ^http://x\n"
    assert kinds(load(content, format="squid")) == [
        (1, "domain", "a.example"),
        (2, "domain", "b.example"),
        (3, "domain", "c.example"),
        (3, "domain", "d.example"),
        (4, "unmatchable", None),
    ]


def test_wildcard(load: Load) -> None:
    content = b"# made up\n*.a.example\n.b.example\nc.example # x\n*\n"
    assert texts(load(content, format="wildcard")) == [(2, "a.example"), (3, "b.example"), (4, "c.example"), (5, "*")]
