"""Links as the web writes them, on hosts that cannot exist.

What belongs here: schemes, hosts, ports, paths and queries, and how often each occurs.
What does not: which rows repeat or list a link (`rows.py`, `plan.py`).

Hosts lie under names that RFC 2606 and RFC 6761 reserve (`.example`, `.test`, `.invalid`, `example.com`, ...) or in
the address blocks that RFC 5737 sets aside for documentation, so that no link names a real site.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relaion_pipeline.sample.words import LANGUAGES, invented_names

_HOSTS = 24_000
_MOST_SLUG_WORDS = 4
_UPPER_CASE_HOST = 0.004

_SUFFIXES = (".example", ".example", ".example.com", ".example.net", ".example.org", ".test", ".co.example", ".invalid")
_SUBDOMAINS = ("www.", "www.", "www.", "", "", "cdn.", "img.", "images.", "static.", "i0.wp.", "media.", "blog.")
_IDN_NAMES = ("münzhändler", "blåbær", "писатель-фото", "写真館", "صور-جميلة", "książki", "ελιά", "한국사진")

_SCHEMES = ("https://",) * 31 + ("http://",) * 8 + ("HTTPS://",)
_PORTS = ("",) * 195 + (":8080", ":443", ":80", ":8443", ":8000")

_PREFIXES = (
    *(f"/wp-content/uploads/{year}/{month:02}/" for year in range(2009, 2023) for month in range(1, 13)),
    *(f"/media/catalog/product/{a}/{b}/" for a in "abcdmps" for b in "aeiort"),
    *(f"/cache/{bucket:02x}/{bucket * 37 % 256:02x}/thumbs/" for bucket in range(40)),
    *(f"/s/files/1/{number:04}/{number * 7 % 9999:04}/products/" for number in range(1000, 1060)),
    *(f"/images/{folder}/" for folder in ("large", "small", "gallery", "blog", "news", "user_photos", "2x", "posts")),
    *("/images/", "/img/", "/photos/", "/uploads/", "/static/media/", "/photo/albums/public/original/"),
    *("/resize/fit-in/640x480/filters:quality(80)/", "/w_600,h_400,c_fill,q_auto/v1/", "/-/media/Images/"),
    *("/img.php?file=", "/thumb?w=300&h=200&src=/photos/", "/thumb?w=300&amp;h=200&amp;src=/photos/"),
    *("/Fotos 2019/", "/My Pictures/", "/images/São Paulo/", "/upload/写真/", "/файлы/", "/img/%E5%86%99%E7%9C%9F/"),
    *("/a/b/../", "//uploads//", "/Images/IMG%20", "/gallery/;jsessionid=A1B2C3/"),
)
_INFIXES = ("",) * 14 + ("-300x200", "-1024x768", "-150x150", "_640x", "_large", "-scaled", " (1)", "%20copy", "@2x")
_ENDINGS = (
    *(".jpg",) * 40,
    *(".jpeg",) * 5,
    *(".png",) * 9,
    *(".JPG",) * 4,
    *(".webp", ".gif", ".GIF", ".svg", ".jpg?w=640&h=480&fit=crop", ".jpg?w=640&amp;h=480", ".jpg?itok=Xy12_Zw"),
    *(".jpg?v=1571438765", ".jpeg?auto=compress&cs=tinysrgb", ".jpg?1420070400", ".jpg#main", ".png?size=large&", ""),
)


@dataclass(frozen=True)
class Links:
    """Draws links for whole batches; `hosts` stand in order of how common they are."""

    hosts: pa.Array
    slug_words: pa.Array

    def draw(self, random: np.random.Generator, rows: int) -> pa.Array:
        """`rows` links; nearly all of them different."""
        # Zipf with exponent 1: the k-th host is drawn in proportion to 1/k.
        rank = np.exp(random.random(rows) * np.log(len(self.hosts))).astype(np.int64) - 1
        host = self.hosts.take(pa.array(rank))
        host = pc.if_else(pa.array(random.random(rows) < _UPPER_CASE_HOST), pc.utf8_upper(host), host)
        # Long numbers stand where short ones would repeat within ten million rows.
        number = pa.array((10 ** (2 + 9 * random.random(rows))).astype(np.int64)).cast(pa.string())
        return pc.binary_join_element_wise(
            _pick(random, _SCHEMES, rows),
            host,
            _pick(random, _PORTS, rows),
            _pick(random, _PREFIXES, rows),
            self._slugs(random, rows),
            number,
            _pick(random, _INFIXES, rows),
            _pick(random, _ENDINGS, rows),
            "",
        )

    def _slugs(self, random: np.random.Generator, rows: int) -> Any:
        """`word-word-...-`, or nothing: what a file name starts with."""
        words = random.integers(0, _MOST_SLUG_WORDS + 1, rows)
        offsets = np.concatenate([[0], np.cumsum(words)]).astype(np.int32)
        flat = self.slug_words.take(pa.array(random.integers(0, len(self.slug_words), int(offsets[-1]))))
        return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), flat), "")


def make_links(random: np.random.Generator) -> Links:
    """The hosts and file-name words of one sample."""
    names = np.array(invented_names(_HOSTS), dtype=object)
    random.shuffle(names)
    hosts = [
        f"{_SUBDOMAINS[sub]}{name}{_SUFFIXES[suffix]}"
        for name, sub, suffix in zip(
            names,
            random.integers(0, len(_SUBDOMAINS), _HOSTS),
            random.integers(0, len(_SUFFIXES), _HOSTS),
            strict=True,
        )
    ]
    for at in range(40, _HOSTS, 97):  # about 1 % of hosts, some of them common
        kind, number = at % 4, at % 250 + 1
        idn = _IDN_NAMES[at // 4 % len(_IDN_NAMES)]
        hosts[at] = (
            f"{('192.0.2', '198.51.100', '203.0.113')[at % 3]}.{number}",
            f"{idn}.example",
            f"img{number}.{idn}.example",
            f"cdn{number}.{idn.encode('idna').decode()}.example",
        )[kind]
    english = [word for word in LANGUAGES["2B-en"][0].words if word.isascii() and word.isalpha()]
    slug_words = [f"{word}{joint}" for word in (*english * 4, *invented_names(3_000)) for joint in "---_"]
    return Links(pa.array(hosts), pa.array(slug_words))


def _pick(random: np.random.Generator, choices: tuple[str, ...], rows: int) -> pa.Array:
    return pa.array(choices).take(pa.array(random.integers(0, len(choices), rows)))
