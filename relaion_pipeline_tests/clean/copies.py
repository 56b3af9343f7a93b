"""Copies of a sample's source in every format, written without the product, and the truth about them.

`webdataset`, `files` and `parquet` are written as img2dataset writes them (its `writer.py`: names, JSON with an indent
of 4, PAX tars, tables in row groups of 100); a slow test has img2dataset itself write them.
"""

import io
import json
import random
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline_tests.end_to_end import shared

Pair = tuple[str, str]
"""Link and text; null is empty."""

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("url", "caption", "key", "status", "error_message")]
    + [("width", pa.int64()), ("height", pa.int64()), ("sha256", pa.string())]
)


@dataclass(frozen=True)
class Truth:
    """What an edition lacks, from the published files alone."""

    source: pa.Table  # all columns that every subset has
    kept: Counter[Pair]
    removed: Counter[Pair]


def pair(link: str | None, text: str | None) -> Pair:
    return link or "", text or ""


def pairs(table: pa.Table, link: str = "URL", text: str = "TEXT") -> list[Pair]:
    return [pair(*each) for each in zip(table[link].to_pylist(), table[text].to_pylist(), strict=True)]


def truth(data_root: Path, edition: str) -> Truth:
    names = ["URL", "TEXT", "WIDTH", "HEIGHT", "similarity", "punsafe"]
    source = pa.concat_tables([table.select(names) for _, _, table in shared.sources(data_root)])
    files = sorted((shared.current(data_root) / edition).rglob("*.parquet"))
    kept = Counter(each for path in files for each in pairs(pq.ParquetFile(path).read(["URL", "TEXT"])))
    return Truth(source, kept, Counter(pairs(source)) - kept)


def some(known: Truth, kept: int) -> list[Pair]:
    """All removed rows among some kept ones, in no order."""
    rows = list(known.removed.elements()) + list(known.kept.elements())[:kept]
    random.Random(1).shuffle(rows)
    return rows


def metas(rows: list[Pair], start: int = 0) -> list[dict[str, Any]]:
    """img2dataset's record of each row; one in eleven was not downloaded."""
    made = []
    for number, (link, text) in enumerate(rows, start):
        failed = number % 11 == 3
        made.append(
            {
                "url": link,
                "caption": text,
                "key": f"{number:09d}",
                "status": "failed_to_download" if failed else "success",
                "error_message": "HTTP Error 404: Not Found" if failed else None,
                "width": None if failed else 64,
                "height": None if failed else 48,
                "sha256": None if failed else f"{number:064x}",
            }
        )
    return made


def image(meta: dict[str, Any]) -> bytes:
    return random.Random(meta["key"]).randbytes(700 + int(meta["key"]) % 900)


def stats(records: list[dict[str, Any]]) -> bytes:
    failed = sum(each["status"] != "success" for each in records)
    content = {
        "count": len(records),
        "successes": len(records) - failed,
        "failed_to_download": failed,
        "failed_to_resize": 0,
        "duration": 1.5,
        "start_time": 1.0,
        "end_time": 2.5,
        "status_dict": dict(Counter(each["error_message"] or "success" for each in records).most_common()),
    }
    return json.dumps(content, indent=4).encode()


def table(records: list[dict[str, Any]], path: Path, *, images: bool = False) -> None:
    schema = SCHEMA
    if images:
        schema = schema.append(pa.field("jpg", pa.binary()))
        records = [each | {"jpg": image(each) if each["status"] == "success" else None} for each in records]
    pq.write_table(pa.Table.from_pylist(records, schema), path, row_group_size=100)


def sample(meta: dict[str, Any]) -> dict[str, bytes]:
    return {
        "jpg": image(meta),
        "json": json.dumps(meta, indent=4).encode(),
        "txt": meta["caption"].encode(),
    }


def webdataset(records: list[dict[str, Any]], folder: Path, stem: str) -> None:
    with tarfile.open(folder / f"{stem}.tar", "w") as tar:
        for meta in records:
            for ending, content in sample(meta).items() if meta["status"] == "success" else ():
                info = tarfile.TarInfo(f"{meta['key']}.{ending}")
                info.size, info.mtime, info.mode = len(content), 1.5, 0o444  # the time makes a PAX header
                info.uname = info.gname = "bigdata"
                tar.addfile(info, io.BytesIO(content))
    table(records, folder / f"{stem}.parquet")
    (folder / f"{stem}_stats.json").write_bytes(stats(records))


def files(records: list[dict[str, Any]], folder: Path, stem: str) -> None:
    (folder / stem).mkdir()
    for meta in records:
        for ending, content in sample(meta).items() if meta["status"] == "success" else ():
            (folder / stem / f"{meta['key']}.{ending}").write_bytes(content)
    table(records, folder / f"{stem}.parquet")
    (folder / f"{stem}_stats.json").write_bytes(stats(records))


def parquet(records: list[dict[str, Any]], folder: Path, stem: str) -> None:
    table(records, folder / f"{stem}.parquet", images=True)
    (folder / f"{stem}_stats.json").write_bytes(stats(records))


def tar_members(path: Path) -> dict[str, bytes]:
    """Name to every byte of the member as it lies in the tar: headers, content, padding. Read with tarfile."""
    content = path.read_bytes()
    with tarfile.open(path) as tar:
        infos = tar.getmembers()
    ends = [*(info.offset for info in infos[1:]), None]
    found = {}
    for info, end in zip(infos, ends, strict=True):
        last = info.offset_data + -(-info.size // 512) * 512
        assert end in {None, last}
        found[info.name] = content[info.offset : last]
    return found
