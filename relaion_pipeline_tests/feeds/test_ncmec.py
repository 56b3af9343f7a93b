import hashlib
import time

import pytest

from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline_tests.feeds.conftest import Load, Row, brief

MD5 = [hashlib.md5(b"%d" % n).hexdigest() for n in range(5)]
SHA1 = hashlib.sha1(b"invented").hexdigest()
SETTINGS = {"format": "ncmec", "kind": "declared", "files": "page*"}


def page(content: str) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">{content}
<paging><next>/v2/entries?from=x&amp;start=1</next></paging></queryResult>""".encode()


def image(
    id_: str, fingerprints: str, *, tag: str = "image", member: int = 42, at: str = "2020-01-02T00:00:00Z"
) -> str:
    return f"""<{tag}><member id="{member}">Invented</member><timestamp>{at}</timestamp><id>{id_}</id>
    <classification>A1</classification><fingerprints>{fingerprints}</fingerprints>
    <feedback><affirmativeFeedback type="Md5"><members><member id="7">Other</member></members></affirmativeFeedback>
    </feedback>
    </{tag}>"""


def deletion(id_: str, *, tag: str = "deletedImage", member: int = 42, at: str = "2020-01-03T00:00:00Z") -> str:
    return f'<{tag}><member id="{member}">Invented</member><id>{id_}</id><timestamp>{at}</timestamp></{tag}>'


def load_pages(load: Load, *pages: str) -> list[Row]:
    return load({f"page{n}": page(content) for n, content in enumerate(pages)}, **SETTINGS)


def test_fingerprints_of_images_and_videos(load: Load) -> None:
    content = f"""<images count="2">
    {image("i1", f"<md5>{MD5[0]}</md5><sha1>{SHA1.upper()}</sha1><pdna>a1a1...</pdna>")}
    {image("i2", f"<md5> {MD5[1]} </md5><sha1>{MD5[1]}</sha1>")}
    {image("i3", "")}</images>
    <videos>{image("v1", f'<md5>{MD5[2]}</md5><tmk-pdqf rel="self" href="/v2/x"/>', tag="video")}</videos>"""
    assert brief(load_pages(load, content)) == [
        (1, "image_md5", MD5[0], False),
        (1, "image_sha1", SHA1, False),
        (1, "unmatchable", None, False),
        (2, "image_md5", MD5[1], False),
        (2, None, None, False),
        (3, None, None, False),
        (4, "image_md5", MD5[2], False),
        (4, "unmatchable", None, False),
    ]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_deletion_withdraws_the_entry_whatever_page_it_is_on(load: Load, order: list[int]) -> None:
    pages = [
        f"<images>{image('i1', f'<md5>{MD5[0]}</md5>')}{image('i2', f'<md5>{MD5[1]}</md5>')}</images>",
        f"<images>{deletion('i1')}</images>",
    ]
    rows = load_pages(load, *(pages[n] for n in order))
    assert {(r["kind"], r["digest"], r["withdrawn"]) for r in rows} == {
        ("image_md5", bytes.fromhex(MD5[0]), True),
        ("image_md5", bytes.fromhex(MD5[1]), False),
        ("unmatchable", None, True),
    }


@pytest.mark.parametrize(
    "other",
    [
        deletion("i2"),
        deletion("i1", member=43),
        deletion("i1", tag="deletedVideo"),
        deletion("i1", at="2020-01-01T00:00:00Z"),  # listed anew since
    ],
)
def test_another_deletion_withdraws_nothing(load: Load, other: str) -> None:
    rows = load_pages(load, f"<images>{image('i1', f'<md5>{MD5[0]}</md5>')}{other}</images>")
    assert [r["withdrawn"] for r in rows if r["digest"]] == [False]


BILLION_LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "secret">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><queryResult>&c;</queryResult>"""
EXTERNAL = b"""<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/passwd">]><queryResult>&secret;</queryResult>"""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (BILLION_LAUGHS, "document type"),
        (EXTERNAL, "document type"),
        (b'<!DOCTYPE x SYSTEM "http://secret.example/x.dtd"><queryResult/>', "document type"),
        (b"<queryResult>&secret;</queryResult>", "not well-formed"),
        (page(image("secret", "<md5>"))[:-40], "not well-formed"),
        (page(f"<images>{image('i1', '')}")[:150], "not well-formed"),
        (b"<status><secret/></status>", "no 'queryResult' document"),
        (b"secret", "not well-formed"),
        (b"", "not well-formed"),
        (b'<?xml version="1.0" encoding="secret"?><queryResult/>', "not well-formed"),
        (b"<queryResult>" + b"<a>" * 1_000_000, "nested deeper than 64"),
        (page("") + page(""), "not well-formed"),
    ],
)
def test_bad_xml_is_an_error_that_quotes_nothing(load: Load, content: bytes, says: str) -> None:
    started = time.monotonic()
    with pytest.raises(FeedError, match=rf"feed 'invented', page, line \d+: .*{says}") as caught:
        load({"page": content}, **SETTINGS)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None
    assert time.monotonic() - started < 5


def test_an_endless_token_is_refused(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relaion_pipeline.feeds.records.MAX_RECORD", 1 << 20)
    for token in (b"<queryResult><images><image><id>" + b"x" * 3_000_000, b'<queryResult a="' + b"x" * 3_000_000):
        with pytest.raises(FeedError, match="a record of more than"):
            load({"page": token}, **SETTINGS)


def test_an_overlong_hash_is_malformed(load: Load) -> None:
    rows = load_pages(load, f"<images>{image('i1', '<md5>' + MD5[0] * 1000 + '</md5>')}</images>")
    assert brief(rows) == [(1, None, None, False)]
