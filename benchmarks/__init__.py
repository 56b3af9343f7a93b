"""Measurements: ratios against a named baseline, in one run on one machine. `make bench` runs them all."""
