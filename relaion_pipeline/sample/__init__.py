"""Sample data: a data root of LAION-like rows from a seed, or one around real shards, each with its answer sheet."""

from relaion_pipeline.sample.adoption import adopt
from relaion_pipeline.sample.generation import SampleSummary, generate
from relaion_pipeline.sample.truth import truth_path

__all__ = ["SampleSummary", "adopt", "generate", "truth_path"]
