"""Proving edition files right before they are released.

listed.py    the verifier's own reading of the partners' lists
verifier.py  staged files held against source shards, lists and rules
evidence.py  what it found out, a row of counts for each shard
gate.py      Great Expectations judges the evidence
"""
