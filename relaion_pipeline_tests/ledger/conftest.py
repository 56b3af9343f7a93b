"""What tests of the ledger share: a dataset of two subsets, three shards and lists of a few rows."""

from pathlib import Path

import pytest

from relaion_pipeline_tests.ledger.dataset import Dataset, Row, ordinary

IMAGE, LINK, BOTH = (Row(f"https://one.example/{name}.jpg") for name in ("image", "link", "both"))


def small_dataset(root: Path) -> Dataset:
    """Feed `images` lists IMAGE and BOTH, `links` LINK and BOTH; IMAGE's link stands in another subset too."""
    again = Row(IMAGE.url, text="again", image="another image")
    made = Dataset(
        root,
        {
            "x/a": [*ordinary(20, "a"), IMAGE, LINK],
            "x/b": [BOTH, *ordinary(20, "b")],
            "y/c": [*ordinary(10, "c"), again],
        },
    )
    made.list_images("images", IMAGE, BOTH)
    made.list_links("links", LINK, BOTH)
    return made


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return small_dataset(tmp_path / "data")
