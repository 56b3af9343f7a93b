"""What was released, when and why: the versions of a data root side by side.

What belongs here: reading records and manifests of releases, comparing them, choosing which are kept and which is
current. What does not: anything that decides what a release holds (`release`); so a change here makes nothing stale.
Nothing here tells an entry of a list, a digest of one, or what was counted in one shard.
"""
