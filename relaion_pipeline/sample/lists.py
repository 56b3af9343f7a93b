"""The partners' lists of a sample: a few planted entries among many that match nothing.

What belongs here: list formats and how entries are spelled and hashed.
What does not: which rows are listed (`plan.py`).
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relaion_pipeline.layout import make_private, written_whole
from relaion_pipeline.links import forms
from relaion_pipeline.sample.plan import FEEDS, Plan, SampleFeed, make_tokens
from relaion_pipeline.sample.rows import content, hex_digests, put

_CHUNK = 250_000
_DIGEST_BYTES = {"image_md5": 16, "link_md5": 16, "link_sha1": 20}
_ADDED = [f"20{year}-{month:02}-15" for year in range(15, 25) for month in range(1, 13)]


def write_lists(
    random: np.random.Generator, data_root: Path, plan: Plan, links: list[str], *, respelled: float, marks: bool
) -> None:
    """Write every feed's file. `links` are those of `plan.planted`, as listed by its partner."""
    for at, feed in enumerate(FEEDS):
        mine = [number for number, each in enumerate(plan.planted) if at in each.feeds]
        spelled = links
        if feed.kind != "image_md5" and respelled:
            hashed = feed.kind != "link"
            spelled = [respell(random, link, hashed=hashed) if random.random() < respelled else link for link in links]
        planted = [_entry(feed, spelled[number], plan.planted[number].md5) for number in mine]
        path = data_root / feed.file
        make_private(path.parent)
        with written_whole(path) as temporary, temporary.open("wb") as file:
            if feed.file.endswith(".csv"):
                file.write(b"md5,added\n")
            for lines in _lines(random, feed, plan.entries[at], planted, marks=marks):
                file.write(lines)


def respell(random: np.random.Generator, link: str, *, hashed: bool) -> str:
    """Another spelling of `link`, by which a partner might know the same image.

    A hashed list can only hold spellings that a row's link leads to: nobody can guess a fragment or odd capitals.
    """
    scheme, _, rest = link.partition("://")
    host, _, path = rest.partition("/")
    scheme = scheme.lower()
    name = host.lower()
    spellings = [f"{scheme}://{name}/{path}", link.replace("&amp;", "&")]
    if ":" not in name:  # a port goes with its scheme
        spellings += [f"{'http' if scheme == 'https' else 'https'}://{name}/{path}", f"{name}/{path}"]
        if not name[-1].isdigit():  # an address has no www
            bare = name.removeprefix("www.")
            spellings.append(f"{scheme}://{bare if bare != name else 'www.' + name}/{path}")
    if hashed:  # two oddities at once, capitals in the host and `/../` in the path say, lead nowhere else
        known = set(forms(link).values())
        spellings = [spelling for spelling in spellings if spelling in known]
    else:
        spellings += [f"{link.partition('#')[0]}#listed", f"{scheme}://{host.swapcase()}/{path}"]
    others = [spelling for spelling in spellings if spelling != link] or [link]
    return others[int(random.integers(0, len(others)))]


def _entry(feed: SampleFeed, link: str, md5: bytes) -> str:
    if feed.kind == "image_md5":
        return md5.hex()
    if feed.kind == "link_md5":
        return hashlib.md5(link.encode(), usedforsecurity=False).hexdigest()
    if feed.kind == "link_sha1":
        return hashlib.sha1(link.encode(), usedforsecurity=False).hexdigest()
    return link


def _lines(
    random: np.random.Generator, feed: SampleFeed, entries: int, planted: list[str], *, marks: bool
) -> Iterator[bytes]:
    """The file's lines in chunks: `planted` at random places among entries that nothing matches."""
    places = np.sort(random.choice(entries, len(planted), replace=False))
    shuffled = pa.array(planted, pa.string()).take(pa.array(random.permutation(len(planted))))
    for start in range(0, entries, _CHUNK):
        size = min(_CHUNK, entries - start)
        if feed.kind == "link":
            tokens = make_tokens(random, size, marks=marks)
            chunk = pa.array([f"https://gone.invalid/{token}/{token[-4:]}.jpg" for token in tokens])
        else:
            width = _DIGEST_BYTES[feed.kind]
            chunk = hex_digests(random.bytes(size * width), width)
        first, last = np.searchsorted(places, [start, start + size])
        chunk = put(chunk, places[first:last] - start, shuffled[int(first) : int(last)])
        if feed.file.endswith(".csv"):
            dates = pa.array(_ADDED).take(pa.array(random.integers(0, len(_ADDED), size)))
            chunk = pc.binary_join_element_wise(pc.utf8_upper(chunk), dates, ",")
        yield content(pc.binary_join_element_wise(chunk, pa.scalar("\n"), ""))
