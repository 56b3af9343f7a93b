import re
import tomllib
from pathlib import Path

import pytest

from relaion_pipeline.feeds.declaration import KINDS_OF_FORMAT, Feed
from relaion_pipeline.feeds.formats import READERS

PAGE = Path(__file__).parents[2] / "docs" / "feeds.md"
ROWS = re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)[1:]  # without the heading


def test_every_format_has_a_reader() -> None:
    assert READERS.keys() == KINDS_OF_FORMAT.keys()


def test_every_format_has_one_row_and_every_row_a_format() -> None:
    assert sorted(name for name, _ in ROWS) == sorted(READERS)


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_the_example_settings_of_a_row_are_accepted(name: str, row: str) -> None:
    example = row.rpartition("|")[2]
    keys = tomllib.loads("\n".join(re.findall(r"`([^`]+ = [^`]+)`", example)))
    feed = Feed(**({"partner": "invented", "version": "1", "files": "x"} | keys))
    assert feed.format == name
    READERS[feed.format](feed)


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_the_kinds_of_a_row_are_those_of_the_reader(name: str, row: str) -> None:
    kinds = row.split("|")[1]
    said = {k.value for k in KINDS_OF_FORMAT[name]}
    if "any but" in kinds:
        assert said == {"image", "link-hash", "link", "domain", "prefix"}
    else:
        assert set(re.findall(r"`([\w-]+)`", kinds)) == said
