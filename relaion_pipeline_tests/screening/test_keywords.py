"""Keywords over many scripts."""

# ruff: noqa: RUF001  (several scripts are the point)

import pytest

from relaion_pipeline.screening import keywords
from relaion_pipeline.screening.keywords import KeywordError, Keywords

HITS = [
    ("lingerie", "Lingerie"),
    ("lingerie", "ｌｉｎｇｅｒｉｅ, full width"),
    ("lingerie", "(lingerie)"),
    ("lingerie", "lingerie"),
    ("pin up", "a PIN \t UP\npicture"),
    ("pin up", "pin\u00a0up"),
    ("décolleté", "DE\u0301COLLETE\u0301"),
    ("DE\u0301COLLETE\u0301", "décolleté"),
    ("spaß", "viel SPASS dabei"),
    ("spass", "viel Spaß"),
    ("office", "o\ufb03ce"),
    ("бурлеск", "«Бурлеск»"),
    ("水着", "夏の水着写真"),
    ("ランジェリー", "人気のﾗﾝｼﾞｪﾘｰ特集"),
    ("比基尼", "紅色比基尼圖"),
    ("ชุดว่ายน้ำ", "ขายชุดว่ายน้ำราคาถูก"),
    ("بوركيني", "صورة بوركيني جديد"),
    ("साड़ी", "नई साड़ी फोटो"),
    ("c++", "learn c++ now"),
    ("#tag", "a #tag here"),
    ("a.b", "see a.b"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("istanbul", "ISTANBUL"),
]
MISSES = [
    ("lingerie", "superlingerie24"),
    ("lingerie", "lingeries"),
    ("lingerie", "lingerie_shop"),
    ("lingerie", "lingerie\u0301"),
    ("lingerie", "linge\u200brie"),
    ("pin up", "pinup"),
    ("a.b", "see aXb"),
    ("бурлеск", "бурлескный"),
    ("साड़ी", "साड़ीवाला"),
    ("بوركيني", "والبوركيني"),
    ("ass", "classic"),
    ("nsfw", ""),
    ("nsfw", None),
]


@pytest.mark.parametrize(("word", "text"), HITS)
def test_hits(word, text):
    assert Keywords([word]).hit(text)


@pytest.mark.parametrize(("word", "text"), MISSES)
def test_misses(word, text):
    assert not Keywords([word]).hit(text)


def test_every_word_of_many_is_looked_for():
    words = Keywords(["one", "two", "水", "two", " TWO ", ""])
    assert words.count == 3
    assert [words.hit(text) for text in ("one", "a two", "下水道", "three")] == [True, True, True, False]


def test_no_word_hits_nothing():
    assert not Keywords([]).hit("anything")
    assert not Keywords(["", "  "]).hit("")


def test_the_digest_is_of_what_is_looked_for():
    assert Keywords(["One", "two"]).digest == Keywords(["two", "ONE", "one"]).digest
    assert Keywords(["one"]).digest != Keywords(["two"]).digest
    assert Keywords(["a", "b"]).digest != Keywords(["ab"]).digest


def test_a_file_of_words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff# comment\r\n  # another\r\n\r\nOne\r\nan other\r\n".encode())
    words = keywords.load(path)
    assert words.count == 2
    assert words.hit("an other")
    assert not words.hit("comment")


@pytest.mark.parametrize("content", [None, b"", b"\n# none\n", b"caf\xe9\n"])
def test_a_file_that_is_none_is_named(tmp_path, content):
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeywordError) as caught:
        keywords.load(path)
    assert str(path) in str(caught.value)
    assert "caf" not in str(caught.value)
