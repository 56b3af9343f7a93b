"""The answer sheet of a sample: every row that a correct screening must find, and on whose word.

It lies beside the data root, never in it, so that nothing that reads the data root can learn from it.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline.layout import written_whole

SCHEMA = pa.schema(
    [
        pa.field("subset", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),  # the file's stem
        pa.field("row", pa.int64(), nullable=False),  # from 0
        pa.field("feed", pa.string(), nullable=False),  # as the settings call it
        pa.field("kind", pa.string(), nullable=False),  # image_md5, link_md5, link_sha1 or link
    ]
)

Match = tuple[str, str, int, str, str]
"""One row of the answer sheet, in the schema's order."""


def truth_path(data_root: Path) -> Path:
    """Where the answer sheet of the sample at `data_root` lies."""
    root = data_root.absolute()
    return root.with_name(f"{root.name}.truth.parquet")


def write_truth(data_root: Path, matches: list[Match]) -> Path:
    """Write the answer sheet, in order of rows, and return its path."""
    path = truth_path(data_root)
    columns = list(zip(*sorted(matches), strict=True)) or [()] * len(SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    with written_whole(path) as temporary:
        pq.write_table(pa.table(arrays, schema=SCHEMA), temporary, compression="zstd")
    return path
