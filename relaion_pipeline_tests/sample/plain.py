"""Screening in plain Python, slow and obvious, sharing nothing with the package: what truth is held against."""

import csv
import hashlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

NO_SPACES = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff]")


def shards(root: Path) -> Iterator[tuple[str, str, list[dict]]]:
    for path in sorted((root / "raw").glob("*/*.parquet")):
        yield path.parent.name, path.stem, pq.read_table(path).to_pylist()


def entries(root: Path) -> dict[tuple[str, str], set[str]]:
    with (root / "feeds/c3p/images.csv").open(newline="") as file:
        c3p = {line["md5"].lower() for line in csv.DictReader(file)}

    def lines(name: str) -> set[str]:
        return set((root / "feeds" / name).read_text(encoding="utf-8").splitlines())

    return {
        ("iwf-images", "image_md5"): lines("iwf/images.md5.txt"),
        ("iwf-links", "link_md5"): lines("iwf/links.md5.txt"),
        ("c3p-images", "image_md5"): c3p,
        ("stanford-links", "link_sha1"): lines("stanford/links.sha1.txt"),
        ("hrw-links", "link"): lines("hrw/links.txt"),
    }


def matches(root: Path) -> set[tuple[str, str, int, str, str]]:
    lists = entries(root)
    found = set()
    for subset, shard, rows in shards(root):
        for number, row in enumerate(rows):
            link = row["URL"]
            seen = {"image_md5": row["md5"], "link": link}
            if link is not None:
                seen["link_md5"] = hashlib.md5(link.encode()).hexdigest()
                seen["link_sha1"] = hashlib.sha1(link.encode()).hexdigest()
            found |= {
                (subset, shard, number, feed, kind)
                for (feed, kind), listed in lists.items()
                if seen.get(kind) in listed
            }
    return found


def truth(path: Path) -> list[tuple[str, str, int, str, str]]:
    table = pq.read_table(path)
    assert table.column_names == ["subset", "shard", "row", "feed", "kind"]
    return [tuple(row.values()) for row in table.to_pylist()]


def fold(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def keyword_pattern(path: Path) -> re.Pattern[str]:
    words = [fold(line) for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return re.compile("|".join(re.escape(w) if NO_SPACES.search(w) else rf"(?<!\w){re.escape(w)}(?!\w)" for w in words))
