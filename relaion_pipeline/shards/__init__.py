"""Shards: the input files, whatever their format and column names, as streams of Arrow batches; and their writing."""

from relaion_pipeline.shards.digests import DigestCache, schema_digest, sha256_file
from relaion_pipeline.shards.errors import ShardError
from relaion_pipeline.shards.finding import Format, Shard, find, slices, stem_of
from relaion_pipeline.shards.presets import PRESETS, Preset, parts, resolve
from relaion_pipeline.shards.reading import batches, open_parquet
from relaion_pipeline.shards.rendering import as_parquet
from relaion_pipeline.shards.writing import EditionWriter

__all__ = [
    "PRESETS",
    "DigestCache",
    "EditionWriter",
    "Format",
    "Preset",
    "Shard",
    "ShardError",
    "as_parquet",
    "batches",
    "find",
    "open_parquet",
    "parts",
    "resolve",
    "schema_digest",
    "sha256_file",
    "slices",
    "stem_of",
]
