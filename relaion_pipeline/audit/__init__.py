"""Releases as they lie there: are they what they say they are, and can it be proved again?

published.py   what can be told of a release alone, and the proof over its files
thresholds.py  the NSFW rules, read off published rows
proof.py       all of it, for whoever holds the data root
"""
