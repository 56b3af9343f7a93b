"""The gate: Great Expectations judges the evidence, and a release needs its record of a pass.

Great Expectations sees counts of what must not be and digests, one row a shard; never a link, a text or a hash, and
no count of what was rightly removed. It is imported when the gate runs, since that takes seconds.
"""

import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from relaion_pipeline import startup
from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.verification import evidence as evidence_files
from relaion_pipeline.verification.evidence import Evidence

SUITE = "nothing_listed_survives"


@dataclass(frozen=True)
class Check:
    """One promise of a release, as the gate judges it: a column of the evidence that must hold 0 in every row."""

    name: str
    column: str
    promise: str


CHECKS = (
    Check("no_listed_row_in_research", "listed_in_research", "No row of research is on any list."),
    Check("no_listed_row_in_research_safe", "listed_in_research_safe", "No row of research-safe is on any list."),
    Check("every_row_accounted_for", "unaccounted_rows", "Rows in = rows kept + rows removed, in every shard."),
    Check("kept_values_unchanged", "altered_files", "Kept rows are the source's rows, value for value."),
    Check("schema_unchanged", "changed_schemas", "Columns keep their names, order and types."),
    Check("no_very_unsafe_row_with_keyword", "unsafe_in_research", "No very unsafe row with a keyword in research."),
    Check(
        "no_unsafe_row_in_research_safe", "unsafe_in_research_safe", "No row of research-safe is above its threshold."
    ),
    Check("no_unscored_row_in_research_safe", "unscored_in_research_safe", "No row of research-safe lacks a score."),
    Check(
        "once_removed_stays_removed", "removed_before_in_research", "No row that an earlier release removed is back."
    ),
    Check("index_holds_every_row", "missing_from_index", "What new lists will be asked of holds every kept row."),
    Check("no_row_without_link", "without_link", "Every kept row has a link that was compared with the lists."),
)
EVERY_SHARD_ONCE = Check("every_shard_once", "shard", "Every shard is there, exactly once.")
ALL_CHECKS = (EVERY_SHARD_ONCE, *CHECKS)


@dataclass(frozen=True)
class GateRecord:
    """What the gate found, for exactly the evidence with this digest."""

    evidence_sha256: str
    passed: bool
    expectations: int  # how many were evaluated
    failed: tuple[str, ...]  # names of checks


def judge(evidence: Sequence[Evidence], expected_shards: int, root: DataRoot) -> GateRecord:
    """Judge the evidence of all shards of a release, write Data Docs and the record, and return it.

    An empty suite, no rows or an all-null column would pass in Great Expectations: rows are counted, nulls refused,
    and a check that was not evaluated has failed.
    """
    results = _evaluate(_frame(evidence), expected_shards, root)
    failed = tuple(check.name for check in ALL_CHECKS if not results.get(check.name) or not all(results[check.name]))
    record = GateRecord(
        evidence_sha256=evidence_files.digest(evidence),
        passed=not failed,
        expectations=sum(len(outcomes) for outcomes in results.values()),
        failed=failed,
    )
    write_text(root.gate, json.dumps(asdict(record), indent=1))
    return record


def read_record(root: DataRoot) -> GateRecord | None:
    """The gate's last record, or None where there is none that can be read."""
    try:
        content = json.loads(root.gate.read_text(encoding="utf-8"))
        return GateRecord(**(content | {"failed": tuple(content["failed"])}))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _frame(evidence: Sequence[Evidence]) -> Any:
    """Only what is judged. Shards go by number: a public page must not say which shard failed."""
    import pandas as pd  # noqa: PLC0415  (comes with Great Expectations)

    return pd.DataFrame(
        {
            "shard": [f"{each.subset}/{each.stem}" for each in evidence],
            **{check.column: [getattr(each, check.column) for each in evidence] for check in CHECKS},
        }
    )


def _evaluate(frame: Any, expected_shards: int, root: DataRoot) -> dict[str, list[bool]]:
    """Outcomes by check's name: of every expectation that was evaluated for it."""
    with _quiet():
        with startup.importing():
            import great_expectations as gx  # noqa: PLC0415  (takes seconds)
            from great_expectations import expectations as gxe  # noqa: PLC0415
            from great_expectations.checkpoint.actions import UpdateDataDocsAction  # noqa: PLC0415
            from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

        docs = make_private(root.data_docs)
        shutil.rmtree(docs, ignore_errors=True)
        make_private(docs)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        context.delete_data_docs_site("local_site")  # the default one, which lies in the system's temporary folder
        context.add_data_docs_site(
            site_name="gate",
            site_config={
                "class_name": "SiteBuilder",
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
            },
        )
        suite = gx.ExpectationSuite(name=SUITE)
        for check, expectation in _expectations(gxe, expected_shards):
            expectation.meta = {"check": check.name, "notes": check.promise}
            suite.add_expectation(expectation)
        batch = context.data_sources.add_pandas("evidence").add_dataframe_asset("shards")
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(
                name="gate", data=batch.add_batch_definition_whole_dataframe("all"), suite=context.suites.add(suite)
            )
        )
        checkpoint = gx.Checkpoint(
            name="gate",
            validation_definitions=[definition],
            actions=[UpdateDataDocsAction(name="docs", site_names=["gate"])],
            result_format={"result_format": "BASIC", "partial_unexpected_count": 0},
        )
        (result,) = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame}).run_results.values()
        outcomes: dict[str, list[bool]] = {}
        for each in result.results:
            assert each.expectation_config is not None  # it was evaluated from one
            outcomes.setdefault(each.expectation_config.meta["check"], []).append(bool(each.success))
        return outcomes


def _expectations(gxe: Any, expected_shards: int) -> Iterator[tuple[Check, Any]]:
    yield EVERY_SHARD_ONCE, gxe.ExpectTableRowCountToEqual(value=expected_shards)
    yield EVERY_SHARD_ONCE, gxe.ExpectColumnValuesToBeUnique(column="shard")
    for check in CHECKS:
        yield check, gxe.ExpectColumnValuesToNotBeNull(column=check.column)
        yield check, gxe.ExpectColumnValuesToBeInSet(column=check.column, value_set=[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Great Expectations' progress bars, usage statistics and log lines."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    os.environ["TQDM_DISABLE"] = "1"
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
