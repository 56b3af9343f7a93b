"""Which rows count as above the threshold or without score: by score, else by tag, and a tag heals no missing score."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline.audit import thresholds


def judged(tmp_path, **columns):
    rows = len(next(iter(columns.values())))
    table = pa.table({"URL": ["http://a.example/"] * rows, "TEXT": ["text"] * rows} | columns)
    pq.write_table(table, tmp_path / "x.parquet")
    file = SimpleNamespace(path="x.parquet", edition="research-safe", subset="main", rows=len(table))
    rule = SimpleNamespace(research_safe_above=0.45)
    described = SimpleNamespace(files=[file], columns={}, nsfw=rule)
    above, unscored = thresholds.differences(tmp_path, described)
    return [int(each.split(": ")[1].split()[0]) if each else 0 for each in ((above or [""])[0], (unscored or [""])[0])]


@pytest.mark.parametrize(
    ("columns", "above", "unscored"),
    [
        ({"punsafe": [0.0, 0.45, 0.4500001, 1.0]}, 2, 0),
        ({"punsafe": [0.1, None, float("nan"), 1.5, -0.1]}, 0, 4),
        ({"punsafe": ["0.1", "0.9", "high"]}, 1, 1),
        ({"NSFW": ["UNLIKELY", "unsure", " NSFW ", None, "?"]}, 2, 2),
        ({"punsafe": [0.1, None], "NSFW": ["NSFW", "UNLIKELY"]}, 0, 1),
        ({"punsafe": pa.nulls(2), "NSFW": ["NSFW", "UNLIKELY"]}, 1, 0),
    ],
)
def test_rows(tmp_path, columns, above, unscored):
    assert judged(tmp_path, **columns) == [above, unscored]
