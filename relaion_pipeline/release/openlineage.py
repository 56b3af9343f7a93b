"""`lineage/openlineage.jsonl`: what a release was made from, in the words of OpenLineage, from its manifest alone.

Two events of one run, START and COMPLETE. The same manifest gives the same bytes, so neither clock nor run is in them:
events are dated to the day of the release's version, and the run's id is derived from the manifest.
https://openlineage.io/docs/spec explains the words.
"""

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from openlineage.client import event_v2 as events
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    dataset_version_dataset,
    datasource_dataset,
    documentation_dataset,
    execution_parameters_run,
    input_statistics_input_dataset,
    job_type_job,
    output_statistics_output_dataset,
    processing_engine_run,
    schema_dataset,
)
from openlineage.client.serde import Serde

from relaion_pipeline.release import manifest
from relaion_pipeline.release.manifest import Column, FeedInput, Manifest, PublishedFile, SourceShard
from relaion_pipeline.shards import stem_of

Facet = TypeVar("Facet")

_JOB = "release"
_ENTRY = "entry"
"""The one column of a list, as far as lineage goes."""
_KEYWORD = "keyword"


def render(described: Manifest) -> str:
    """Both events, a line each."""
    return "".join(Serde.to_json(event) + "\n" for event in _Events(described).both())


def run_id(described: Manifest) -> str:
    """A UUID that follows from the manifest: same inputs, same run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{namespace(described)}#{manifest.text(described)}"))


def producer(described: Manifest) -> str:
    """The code that made the release, as a URI."""
    return f"urn:relaion-pipeline:{described.code_version}"


def namespace(described: Manifest) -> str:
    """Under which all names of a dataset stand."""
    return f"relaion://{described.dataset}"


class _Events:
    """The events of one release."""

    def __init__(self, described: Manifest) -> None:
        self._described = described
        self._namespace = namespace(described)
        self._shards = {(each.subset, stem_of(each.name)): each for each in described.shards}

    def both(self) -> Iterator[events.RunEvent]:
        described = self._described
        time = f"{described.release[:10]}T00:00:00Z"
        event = partial(events.RunEvent, eventTime=time, producer=producer(described), run=self._run(), job=self._job())
        inputs = [*map(self._shard, described.shards), *map(self._feed, described.feeds), self._keywords()]
        yield event(eventType=events.RunState.START, inputs=inputs)
        outputs = [self._file(each) for each in described.files]
        yield event(eventType=events.RunState.COMPLETE, inputs=inputs, outputs=outputs)

    def _of(self, facet: Callable[..., Facet], **fields: Any) -> Facet:
        return facet(producer=producer(self._described), **fields)

    def _run(self) -> events.Run:
        described = self._described
        rule = described.nsfw.model_dump(exclude={"keywords", "keywords_sha256"})
        settings = {
            **{f"nsfw.{key}": value for key, value in rule.items()},
            "removals.max_listed_share": described.removals.max_listed_share,
            **{f"waivers[{place}]": each.model_dump_json() for place, each in enumerate(described.waivers)},
        }
        parameters = [execution_parameters_run.ExecutionParameter(key, value=str(v)) for key, v in settings.items()]
        version, _, _ = described.code_version.partition("+")
        facets = {
            "processing_engine": self._of(
                processing_engine_run.ProcessingEngineRunFacet, name="relaion-pipeline", version=version
            ),
            "executionParameters": self._of(
                execution_parameters_run.ExecutionParametersRunFacet, parameters=parameters
            ),
        }
        return events.Run(run_id(described), facets)

    def _job(self) -> events.Job:
        kind = self._of(job_type_job.JobTypeJobFacet, processingType="BATCH", integration="RELAION", jobType="JOB")
        return events.Job(self._namespace, _JOB, {"jobType": kind})

    def _shard(self, shard: SourceShard) -> events.InputDataset:
        facets = {
            **self._facts(self._source(shard), shard.sha256),
            "schema": self._schema(self._described.columns[shard.subset]),
        }
        counted = self._of(
            input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
            rowCount=shard.rows,
            size=shard.bytes,
            fileCount=1,
        )
        return events.InputDataset(self._namespace, self._source(shard), {"inputStatistics": counted}, facets=facets)

    def _feed(self, feed: FeedInput) -> events.InputDataset:
        """A list: the partner's version, and the digest where it gives nothing away."""
        said = f"List of {feed.partner}, version {feed.version}"
        facets = {
            **self._facts(f"feeds/{feed.name}", feed.sha256 or feed.version),
            "documentation": self._of(documentation_dataset.DocumentationDatasetFacet, description=said),
        }
        counted = self._of(input_statistics_input_dataset.InputStatisticsInputDatasetFacet, rowCount=feed.entries)
        return events.InputDataset(self._namespace, f"feeds/{feed.name}", {"inputStatistics": counted}, facets=facets)

    def _keywords(self) -> events.InputDataset:
        rule = self._described.nsfw
        counted = self._of(input_statistics_input_dataset.InputStatisticsInputDatasetFacet, rowCount=rule.keywords)
        return events.InputDataset(
            self._namespace,
            "keywords",
            {"inputStatistics": counted},
            facets=self._facts("keywords", rule.keywords_sha256),
        )

    def _file(self, file: PublishedFile) -> events.OutputDataset:
        columns = self._described.columns[file.subset]
        facets = {
            **self._facts(file.path, file.sha256),
            "schema": self._schema(columns),
            "columnLineage": self._columns(self._shards[file.subset, file.shard], columns),
        }
        counted = self._of(
            output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
            rowCount=file.rows,
            size=file.bytes,
            fileCount=1,
        )
        return events.OutputDataset(self._namespace, file.path, {"outputStatistics": counted}, facets=facets)

    def _facts(self, name: str, version: str) -> dict[str, Any]:
        """Where a dataset is from, and which of its versions is meant."""
        return {
            "dataSource": self._of(
                datasource_dataset.DatasourceDatasetFacet,
                name=self._described.dataset,
                uri=f"{self._namespace}/{quote(name)}",
            ),
            "version": self._of(dataset_version_dataset.DatasetVersionDatasetFacet, datasetVersion=version),
        }

    def _schema(self, columns: list[Column]) -> schema_dataset.SchemaDatasetFacet:
        fields = [schema_dataset.SchemaDatasetFacetFields(each.name, each.type) for each in columns]
        return self._of(schema_dataset.SchemaDatasetFacet, fields=fields)

    def _columns(self, shard: SourceShard, columns: list[Column]) -> column_lineage_dataset.ColumnLineageDatasetFacet:
        """Every value is the source's, unchanged; lists, keywords and some columns decide which rows are there."""
        field = partial(column_lineage_dataset.InputField, self._namespace)
        same = column_lineage_dataset.Transformation("DIRECT", "IDENTITY", "values unchanged", masking=False)
        chosen = column_lineage_dataset.Transformation("INDIRECT", "FILTER", "decides which rows stay", masking=False)
        source = self._source(shard)
        deciding = [field(source, each.name, [chosen]) for each in columns if each.part is not None]
        deciding += [field(f"feeds/{feed.name}", _ENTRY, [chosen]) for feed in self._described.feeds]
        deciding.append(field("keywords", _KEYWORD, [chosen]))
        return self._of(
            column_lineage_dataset.ColumnLineageDatasetFacet,
            fields={each.name: column_lineage_dataset.Fields([field(source, each.name, [same])]) for each in columns},
            dataset=deciding,
        )

    def _source(self, shard: SourceShard) -> str:
        return f"source/{shard.subset}/{shard.name}"
