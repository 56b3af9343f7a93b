"""Proving edition files right before they are released.

listed.py    the verifier's own reading of the partners' lists
verifier.py  staged files held against source shards, lists, rules and ledger
standing.py  what an earlier proof still tells, and what it leaves to be proved
indexes.py   what shards' indexes tell
rows.py      published rows held against lists and rules
claims.py    verdicts held against the rows of source shards, and against the ledger
contents.py  files held against source shards, value for value
removed.py   which rows verdicts remove, and did when files were proved
evidence.py  what was found out, a row of counts for each shard
gate.py      Great Expectations judges the evidence
"""
