"""Cleaning copies of a dataset that others hold: what an edition lacks is taken out, everything else stays as it is.

Needs neither Dagster nor Great Expectations, and no feeds: removal lists are enough.
"""

from relaion_pipeline.clean.columns import Choice
from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.clean.judging import By
from relaion_pipeline.clean.run import Outcome, Request, clean

__all__ = ["By", "Choice", "CleanError", "Outcome", "Request", "clean"]
