"""Releases as they lie there: are they what they say they are, and can it be proved again?

published.py       what can be told of a release alone, and the proof over its files
statements.py      the lineage that a release carries, held against its manifest
thresholds.py      the NSFW rules, read off published rows
proof.py           all of it, for whoever holds the data root
auditing.py        an auditor's report: the proof, and everything that a release came from
lines.py           what a report is made of
custody.py         each shard from its source to its published files
reconciliation.py  row counts and who says them
recomputation.py   shards made again from source
page.py            the report as a page
"""
