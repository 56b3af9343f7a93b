"""Jobs: one, since one release is one run.

What belongs here: jobs. What does not: when they run. Dagster explains the concept under "Jobs".
"""

import dagster as dg

RELEASE_JOB = "release_job"

release_job = dg.define_asset_job(
    RELEASE_JOB,
    selection=dg.AssetSelection.all(),
    description="Make a release: everything from the feeds and shards to the published files.",
)
