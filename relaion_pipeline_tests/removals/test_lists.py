"""The lists are exactly what the editions lack, and their page tells how to read them."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import database, sample, settings
from relaion_pipeline.audit import published
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import removal_lists, removals
from relaion_pipeline.screening import verdicts
from relaion_pipeline.screening.verdicts import BIT, Counts, Header, Reason
from relaion_pipeline.settings import Columns
from relaion_pipeline.shards.stock import StockedShard
from relaion_pipeline_tests.clean import copies
from relaion_pipeline_tests.end_to_end import shared

PAGE = Path(__file__).parents[2] / "docs" / "removal-lists.md"


def reference() -> dict[str, Any]:
    """The code on the page."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    return found


@pytest.mark.parametrize("edition", ["research", "research-safe"])
def test_lists_are_what_the_edition_lacks(released: sample.SampleSummary, edition: str) -> None:
    known = copies.truth(released.data_root, edition)
    folder = shared.current(released.data_root) / "removals" / edition
    code = reference()
    standing = {link for link, _ in known.kept}
    gone = {link for link, _ in known.removed} - standing
    salt, rows = code["read"](folder / "rows.parquet")
    assert rows == {code["key"](salt, link, text, kind="R") for link, text in known.removed}
    assert code["read"](folder / "links.parquet") == (salt, {code["key"](salt, link, kind="L") for link in gone})
    assert gone < {link for link, _ in known.removed}  # some links stand: the sample repeats them
    (told,) = [each for each in shared.manifest(released.data_root)["removals"]["lists"] if each["edition"] == edition]
    assert told == {
        "edition": edition,
        "rows": sum(known.removed.values()),
        "row_keys": len(known.removed),
        "link_keys": len(gone),
        "kept_alike": sum(known.kept[each] for each in known.removed),
    }
    assert salt == shared.manifest(released.data_root)["removals"]["salt"] == "relaion:sample"


@pytest.mark.parametrize("kind", ["rows", "links"])
def test_files_are_as_the_page_says(released: sample.SampleSummary, kind: str, tmp_path: Path) -> None:
    path = shared.current(released.data_root) / "removals" / "research" / f"{kind}.parquet"
    file = pq.ParquetFile(path)
    keys = file.read()["key"].to_pylist()
    assert keys == sorted(set(keys))
    assert [(field.name, field.type, field.nullable) for field in file.schema_arrow] == [("key", pa.uint64(), False)]
    assert set(file.metadata.row_group(0).column(0).encodings) == {"DELTA_BINARY_PACKED", "RLE"}  # RLE: levels, of none
    assert path.stat().st_mode & 0o777 == 0o644
    again = tmp_path / "again.parquet"
    with removal_lists.ListWriter(again, removal_lists.read_head(path)) as writer:
        for at in range(0, len(keys), 7):  # in other pieces
            writer.write(file.read()["key"].to_numpy()[at : at + 7])
    assert again.read_bytes() == path.read_bytes()


def test_a_key_by_hand() -> None:
    digest = hashlib.sha256("saltRhttps://é.example/\0Té".encode()).digest()
    assert reference()["key"]("salt", "https://é.example/", "Té", kind="R") == int.from_bytes(digest[:8], "big")


def test_twins_and_shared_links(released: sample.SampleSummary, tmp_path: Path) -> None:
    """Removed and kept rows that are alike, or share a link; null and empty; a row that only research keeps."""
    root = DataRoot.at(tmp_path)
    listed, unsafe = BIT[Reason.LISTED_IMAGE], BIT[Reason.UNSAFE]
    rows: list[tuple[str | None, str | None, int]] = [
        ("a", "twin", listed), ("a", "twin", 0),  # alike: the row is listed, the link stands
        ("b", "one", listed), ("b", "two", 0),  # the link stands
        ("c", None, listed), ("c", "", listed),  # gone, and one key for both
        ("d", "x", unsafe), ("d", "y", listed),  # the link stands in research only
        ("é", "ü\nö", listed), ("zz", "kept", 0),
    ]  # fmt: skip
    parquet = tmp_path / "s.parquet"
    pq.write_table(pa.table({"url": [row[0] for row in rows], "caption": [row[1] for row in rows]}), parquet)
    marked = [(number, bits) for number, (_, _, bits) in enumerate(rows) if bits]
    table = pa.table(
        [
            *([n for n, _ in marked], [b for _, b in marked]),
            *([[]] * len(marked), [[]] * len(marked)),
            *([0] * len(marked), [0] * len(marked)),
        ],
        schema=verdicts.VERDICTS,
    )
    verdicts.write(root.verdicts("en", "s"), table, Header("", "", "", "", "", Counts()))
    shard = StockedShard(
        "en",
        "s",
        parquet,
        "",
        0,
        None,
        parquet,
        len(rows),
        Columns.model_validate({"link": "url", "text": "caption"}),
        "",
    )
    chosen = settings.load(released.data_root)
    code, counts = reference(), {}
    with database.connect(root, chosen.limits) as connection:
        removals._create_removed(connection, root, [shard], chosen.removals.salt_of(chosen.dataset))
        for edition in ("research", "research-safe"):
            told = removals._write_edition(connection, tmp_path / "removals", edition, chosen)
            counts[edition] = (told.rows, told.row_keys, told.link_keys, told.kept_alike)
    assert counts == {"research": (6, 5, 2, 1), "research-safe": (7, 6, 3, 1)}
    salt, keys = code["read"](tmp_path / "removals" / "research" / "links.parquet")
    assert keys == {code["key"](salt, link, kind="L") for link in ("c", "é")}
    _, keys = code["read"](tmp_path / "removals" / "research-safe" / "links.parquet")
    assert keys == {code["key"](salt, link, kind="L") for link in ("c", "d", "é")}


def test_too_few_ordinary_rows_are_refused(copied: Callable[[], DataRoot]) -> None:
    root = copied()
    before = Counter(path.name for path in root.releases.iterdir())
    path = root.path / "relaion.toml"
    text = re.sub(r"max_listed_share = \S+", "max_listed_share = 0.1", path.read_text())
    path.write_text(text)
    answer = shared.run("release", "--data", root.path, "--version", "2026-01-03.001")
    assert answer.exit_code == 1
    listed = shared.manifest(root.path)["total"]["listed"]
    (lists,) = [each for each in shared.manifest(root.path)["removals"]["lists"] if each["edition"] == "research"]
    said = " ".join(answer.output.split())
    assert f"{listed:,} are listed and it holds {lists['row_keys']:,} keys" in said
    assert "at most 0.1 is allowed" in said
    assert "max_listed_share" in said
    left = Counter(path.name for path in root.releases.iterdir() if not path.name.startswith("."))
    assert left == before
    assert shared.current(root.path).name == shared.VERSION


def test_defaults() -> None:
    assert settings.Removal().max_listed_share == 0.001
    assert asdict(removal_lists.Head("d", "research", "rows", "s"))["format"] == "relaion-removals/1"


def test_a_changed_list_is_found(copied: Callable[[], DataRoot]) -> None:
    release = shared.current(copied().path)
    path = release / "removals" / "research" / "links.parquet"
    keys = pq.read_table(path)["key"].to_numpy()
    head = removal_lists.read_head(path)
    for wrong in (keys[1:], keys[::-1]):
        path.unlink()
        with removal_lists.ListWriter(path, head) as writer:
            writer.write(wrong)
        found = [each for each in published.differences(release) if each.startswith("removals/research/links.parquet")]
        assert len(found) == 2  # its digest, and what it holds
