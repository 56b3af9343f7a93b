"""What screening finds by SQL over millions of rows is what plain Python finds one row at a time."""

import base64
import hashlib
import json
import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import links, sample
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.end_to_end.plain_matching import SAFE_BROWSING, List

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"

ODD_LINKS = [
    "HTTP://ODD.Example.COM:80/A/../B/%7euser/?q=1#part",
    "https://www.odd.example.com/gallery/",
    "https://odd.example.com/gallery",
    "http://odd.example.com/galleryx/1.jpg",
    "//odd.example.com/no/scheme.png",
    "odd.example.com/bare/path.jpg",
    "https://user:secret@odd.example.com/a.jpg",
    "https://b\u00fccher.example/stra\u00dfe/\u00e4.jpg",
    "https://xn--bcher-kva.example/stra%C3%9Fe/%C3%A4.jpg",
    "https://cdn.odd.example.com/img.php?id=1&amp;size=2",
    "https://cdn.odd.example.com/img.php?id=1&size=2",
    "https://cdn.odd.example.com/img.php?id=2&size=2",
    "http://192.0.2.7/photo.jpg",
    "http://[2001:db8::7]/photo.jpg",
    "http://3221225991/photo.jpg",
    "https://odd.example.com./dot.jpg",
    "https://odd.example.com/a b.jpg",
    "https://odd.example.com/%61%20b.jpg",
    "  https://odd.example.com/blank.jpg ",
    "https://odd.example.com/tab\there.jpg",
    "ftp://odd.example.com/file.jpg",
    "data:image/png;base64,AAAA",
    "not a link at all",
    "https://",
    "http:///triple.example/x.jpg",
    "https://odd.example.co.uk/x.jpg",
    "https://deep.er.odd.example.co.uk/x/y/z/1.jpg?k=v",
    "https://odd.example.com/" + "long/" * 500 + "x.jpg",
    "https://odd.example.com/\u202ereversed.jpg",
    "https://\U0001f4f7.example/\U0001f4f7.jpg",
]

HASHED = [
    ("md5", None),
    ("sha1", None),
    ("sha256", None),
    ("md5", "threatexchange"),
    ("sha1", "canonical"),
    ("sha256", "exact"),
    ("sha256", SAFE_BROWSING),
    ("md5", "no_scheme"),
    ("sha1", "unicode+https+www+slash"),
]
MISSING_VALUES = {"", " ", "\n", "http://", "https://", "null", "None"}
"""What programs hash when a link is missing: the guards hold such entries back, so no list here has one."""


def links_of_specifications() -> list[str]:
    """Inputs of the WHATWG's URL tests, where they are at hand."""
    path = SHARED_DATA / "links" / "wpt_ada__urltestdata.json"
    if not path.is_file():
        return []
    cases = json.loads(path.read_text(encoding="utf-8"))
    found = {case["input"] for case in cases if isinstance(case, dict)}
    return sorted(text for text in found if text.isascii() or text.encode("utf-8", "replace").decode() == text)


@pytest.fixture(scope="module")
def screened(tmp_path_factory):
    """A released data root of odd rows under lists of every kind, and the lists."""
    folder = tmp_path_factory.mktemp("second")
    made = sample.generate(folder / "drawn", rows=2_000, seed=9)
    drawn = [link for _, _, table in shared.sources(made.data_root) for link in table["URL"].to_pylist()]
    rows = drawn + ODD_LINKS + links_of_specifications()
    # Ordinary rows that go with the listed ones: a removal list of listed rows alone is refused.
    rows += [f"https://very-unsafe-{number}.example/nothinghasthisword/a.jpg" for number in range(100)]
    chance = random.Random(4)
    chance.shuffle(rows)
    digests = {
        name: [chance.choice([None, *[chance.randbytes(size).hex()] * 9]) for _ in rows]
        for name, size in (("md5", 16), ("sha1", 20), ("sha256", 32))
    }
    digests["md5"] = [each and chance.choice([each, each.upper()]) for each in digests["md5"]]
    root = folder / "data"
    size = len(rows) // 2 + 1
    for number in range(2):
        part = slice(number * size, (number + 1) * size)
        table = pa.table({"url": rows[part], "caption": rows[part], **{k: v[part] for k, v in digests.items()}})
        table = table.append_column(
            "punsafe", pa.array([0.99 if "very-unsafe" in (each or "") else 0.1 for each in rows[part]], pa.float32())
        )
        path = root / "raw" / "odd" / f"part-{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=97)
    lists = dict(_lists(chance, rows, digests))
    _write(root, lists)
    outcome = shared.release(root)
    assert outcome.exit_code == 0, outcome.output
    return root, lists


def _lists(chance, rows, digests):
    present = [row for row in rows if row]
    hosts = sorted({host for row in present if (host := links.host_of(row)) and links.domain_key(host)})
    encode = {"hex": bytes.hex, "base32": lambda raw: base64.b32encode(raw).decode(),
              "base64": lambda raw: base64.b64encode(raw).decode()}  # fmt: skip
    for name, encoding in (("md5", "hex"), ("md5", "base64"), ("sha1", "base32"), ("sha256", "hex")):
        taken = [bytes.fromhex(each) for each in chance.sample(digests[name], 40) if each]
        yield f"image-{name}-{encoding}", List("image", [encode[encoding](raw) for raw in taken], name, encoding)
    for number, (name, form) in enumerate(HASHED):
        lines = []
        for row in [*chance.sample(present, 90), *ODD_LINKS]:
            # Half of the entries are in another spelling than the declared one, and must find nothing by it.
            declared = form if chance.random() < 0.5 else None
            if form == SAFE_BROWSING:
                spelled = links.expressions(row)
            else:
                spelled = list(links.forms(row, declared and [declared]).values())
            if spelled := [text for text in spelled if text not in MISSING_VALUES]:
                lines.append(hashlib.new(name, chance.choice(spelled).encode("utf-8", "surrogatepass")).hexdigest())
        yield f"hashed-{number}", List("link-hash", lines, name, "hex", form)
    plain = [row for row in chance.sample(present, 90) + ODD_LINKS if row.isprintable() and row == row.strip()]
    plain = [
        row for row in plain if not row.startswith("#") and links.match_key(links.refang(row)) == links.match_key(row)
    ]
    yield "links", List("link", [*plain, "odd.example.com/gallery/#elsewhere"])
    # A row of a listed address is listed whatever its path: the lists stay small beside the rows.
    yield "domains", List("domain", [*chance.sample(hosts, 12), "cdn.odd.example.com", "b\u00fccher.example"])
    prefixes = ["odd.example.com/gallery", "https://deep.er.odd.example.co.uk/x/", "192.0.2.7", "odd.example.com/%61"]
    yield "prefixes", List("prefix", [*prefixes, *chance.sample(hosts, 6)])


def _write(root: Path, lists: dict[str, List]) -> None:
    text = '[dataset]\nname = "odd"\n[removals]\nmax_listed_share = 1.0\n'
    text += '[subsets.odd]\nshards = "raw/odd/*.parquet"\n[subsets.odd.columns]\n'
    text += 'link = "url"\ntext = "caption"\npunsafe = "punsafe"\nmd5 = "md5"\nsha1 = "sha1"\nsha256 = "sha256"\n'
    for name, one in lists.items():
        path = root / "feeds" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in one.lines), encoding="utf-8")
        text += f'[feeds.{name}]\npartner = "P"\nversion = "1"\nfiles = "feeds/{name}.txt"\nkind = "{one.of}"\n'
        text += "max_malformed_share = 1.0\n"
        if one.hash:
            text += f'hash = "{one.hash}"\nencoding = "{one.encoding}"\n'
        if one.link_form:
            text += f'link_form = "{one.link_form}"\n'
    (root / "relaion.toml").write_text(text, encoding="utf-8")
    (root / "keywords.txt").write_text("nothinghasthisword\n", encoding="utf-8")


def test_every_row_is_listed_by_just_the_feeds_that_plain_python_names(screened):
    root, lists = screened
    expected, found, wrong = Counter(), Counter(), []
    for _, stem, table in shared.sources(root):
        verdicts, _ = shared.verdicts(root, "odd", stem)
        for number, row in enumerate(table.to_pylist()):
            row["link"] = row["url"]
            named = sorted(name for name, one in lists.items() if one.names(row))
            expected.update(named)
            found.update(verdicts.get(number, []))
            if verdicts.get(number, []) != named:
                wrong.append((row["url"], named, verdicts.get(number)))
    assert not wrong
    assert expected == found
    assert set(expected) == set(lists), "every list must have found something for this to show anything"


def test_none_of_them_is_published(screened):
    root, lists = screened
    images = {
        row["url"]
        for _, _, table in shared.sources(root)
        for row in table.to_pylist()
        if any(one.of == "image" and one.names(row | {"link": row["url"]}) for one in lists.values())
    }
    for _, stem, table in shared.sources(root):
        gone = [
            any(one.names(row | {"link": row["url"]}) for one in lists.values())
            or row["url"] in images
            or not (row["url"] or "").strip(" ")
            or row["punsafe"] > 0.95  # those all hold the keyword
            for row in table.to_pylist()
        ]
        in_safe, _, extra = shared.published(root, "odd", stem)
        assert shared.same_rows(in_safe, table.filter(pa.array([not each for each in gone])))
        assert len(extra) == 0


def test_the_verifier_agrees(screened):
    root, _ = screened
    assert shared.verify(root).exit_code == 0
