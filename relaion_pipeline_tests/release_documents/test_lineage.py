"""OpenLineage events and the in-toto statement: valid by their own rules, true, and held against the manifest."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from relaion_pipeline.audit import statements
from relaion_pipeline.release import attestation, manifest, openlineage
from relaion_pipeline.release.manifest import Manifest, WaiverRecord
from relaion_pipeline_tests.conftest import copy_of

SCHEMA, FACETS = (
    json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
    for name in ("openlineage_2_0_2.json", "openlineage_facets.json")
)
FACET_URL = "https://openlineage.io/spec/facets/{}.json#/$defs/{}"
OPENLINEAGE, PROVENANCE = "lineage/openlineage.jsonl", "lineage/provenance.intoto.json"

# RFC 3339 and RFC 3986; jsonschema would check neither without packages that it does not bring.
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")


def formats() -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(["uuid"])
    checker.checks("uri", raises=TypeError)(lambda value: bool(URI.fullmatch(value)))
    checker.checks("date-time", raises=(TypeError, ValueError))(
        lambda value: bool(MOMENT.fullmatch(value) and datetime.fromisoformat(value))
    )
    return checker


def validate(event: Any) -> None:
    """Hold an event against the specification, and each of its facets against that facet's version."""
    jsonschema.Draft202012Validator(SCHEMA, format_checker=formats()).validate(event)
    for facet in facets_of(event):
        key, _, name = (
            facet["_schemaURL"].removeprefix("https://openlineage.io/spec/facets/").partition(".json#/$defs/")
        )
        assert facet["_schemaURL"] == FACET_URL.format(key, name)
        jsonschema.Draft202012Validator(FACETS[key], format_checker=formats()).validate(facet)


def facets_of(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if "_schemaURL" in part:
            yield part
        for each in part.values():
            yield from facets_of(each)
    elif isinstance(part, list):
        for each in part:
            yield from facets_of(each)


@pytest.fixture
def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / OPENLINEAGE).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def statement(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    return content


def test_the_events_are_valid(events):
    for schema in (SCHEMA, *(each for key, each in FACETS.items() if key != "$comment")):
        jsonschema.Draft202012Validator.check_schema(schema)
    assert [each["eventType"] for each in events] == ["START", "COMPLETE"]
    assert events[0]["run"] == events[1]["run"]
    for event in events:
        validate(event)
    used = {facet["_schemaURL"] for facet in facets_of(events)}
    assert used == {FACET_URL.format(key, key.split("/")[1]) for key in FACETS if key != "$comment"}


BROKEN = {
    "no job": lambda event: event.pop("job"),
    "no time": lambda event: event.pop("eventTime"),
    "no schema's URL": lambda event: event.pop("schemaURL"),
    "a time that is none": lambda event: event.update(eventTime="2026-02-30T00:00:00Z"),
    "a time without zone": lambda event: event.update(eventTime="2026-02-03T00:00:00"),
    "a day for a time": lambda event: event.update(eventTime="2026-02-03"),
    "a run without id": lambda event: event["run"].pop("runId"),
    "a run that is no UUID": lambda event: event["run"].update(runId="1"),
    "a dataset without namespace": lambda event: event["inputs"][0].pop("namespace"),
    "a producer that is no URI": lambda event: event.update(producer="relaion"),
    "a facet that is no object": lambda event: event["outputs"][0]["facets"].update(schema="x"),
    "a facet without producer": lambda event: event["outputs"][0]["facets"]["schema"].pop("_producer"),
    "a run's facet without producer": lambda event: event["run"]["facets"]["processing_engine"].pop("_producer"),
    "counts without producer": lambda event: event["inputs"][0]["inputFacets"]["inputStatistics"].pop("_producer"),
    "a facet without schema": lambda event: event["job"]["facets"]["jobType"].pop("_schemaURL"),
    "a version left out": lambda event: event["outputs"][0]["facets"]["version"].pop("datasetVersion"),
    "a source that is no URI": lambda event: event["inputs"][0]["facets"]["dataSource"].update(uri="relaion://a b"),
    "a column without name": lambda event: event["inputs"][0]["facets"]["schema"]["fields"][0].pop("name"),
    "a setting without key": lambda event: event["run"]["facets"]["executionParameters"]["parameters"][0].pop("key"),
    "rows that are no number": lambda event: event["inputs"][0]["inputFacets"]["inputStatistics"].update(rowCount="1"),
    "a column from nowhere": lambda event: event["outputs"][0]["facets"]["columnLineage"]["dataset"][0].pop("name"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_the_schema_would_refuse(events, how):
    BROKEN[how](events[1])
    with pytest.raises(jsonschema.ValidationError):
        validate(events[1])


def test_names_of_files_may_be_any(described: Manifest):
    """A name with blanks or letters of any script is no part of a URI as it stands."""
    odd = [described.shards[0].model_copy(update={"name": "ein Stück 100%.parquet"})]
    events = [
        json.loads(line)
        for line in openlineage.render(described.model_copy(update={"shards": odd, "files": []})).splitlines()
    ]
    for event in events:
        validate(event)
        assert event["inputs"][0]["name"].endswith("/ein Stück 100%.parquet")


def test_the_events_are_true(events, folder, root):
    """Held against the files themselves: digests, rows, columns."""
    for event in events:
        for each in event["inputs"]:
            kind, _, name = each["name"].partition("/")
            if kind == "source":
                path = root.path / "raw" / name
                assert each["facets"]["version"]["datasetVersion"] == sha256(path)
                assert each["inputFacets"]["inputStatistics"]["rowCount"] == pq.read_metadata(path).num_rows
    outputs = events[1]["outputs"]
    assert sorted(each["name"] for each in outputs) == sorted(parquet_of(folder))
    for each in outputs:
        path = folder / each["name"]
        names = pq.read_schema(path).names
        assert each["facets"]["version"]["datasetVersion"] == sha256(path)
        assert each["outputFacets"]["outputStatistics"]["rowCount"] == pq.read_metadata(path).num_rows
        lineage = each["facets"]["columnLineage"]
        assert list(lineage["fields"]) == sorted(names)
        for name, column in lineage["fields"].items():
            (source,) = column["inputFields"]
            assert (source["field"], Path(source["name"]).stem) == (name, path.name.split(".")[0])
        feeds = {name for name in (source["name"] for source in lineage["dataset"]) if name.startswith("feeds/")}
        assert feeds == {each["name"] for each in events[1]["inputs"] if each["name"].startswith("feeds/")}
        assert feeds


def test_the_statement_passes_its_library_s_check(statement):
    parsed = json_format.ParseDict(statement, statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    predicate = json_format.ParseDict(statement["predicate"], provenance_pb2.Provenance())  # unknown fields raise
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert predicate.build_definition.build_type  # what SLSA requires
    assert predicate.build_definition.external_parameters
    assert predicate.run_details.builder.id
    assert not predicate.run_details.metadata.HasField("started_on")  # no clock in public files


def test_the_statement_is_true(statement, folder, root):
    subjects = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    assert subjects == {name: sha256(folder / name) for name in ["manifest.json", *parquet_of(folder)]}
    definition = statement["predicate"]["buildDefinition"]
    sources = {each["name"]: each for each in definition["resolvedDependencies"]}
    for path in (root.path / "raw").rglob("*.parquet"):
        each = sources[f"source/{path.parent.name}/{path.name}"]
        assert each["digest"]["sha256"] == sha256(path)
        assert each["annotations"]["rows"] == pq.read_metadata(path).num_rows
    assert definition["externalParameters"]["nsfw"]["research_above"] == 0.95


def test_a_short_list_has_no_digest(statement, events, described):
    """Who holds the source could try every link of it against the digest of a short list."""
    short = {f"feeds/{each.name}" for each in described.feeds if each.entries < 1_000}
    assert short
    for each in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
        if each["name"].startswith("feeds/"):
            assert ("digest" in each) == (each["name"] not in short)
    for each in events[1]["inputs"]:
        if each["name"] in short:
            assert len(each["facets"]["version"]["datasetVersion"]) < 64


def test_waivers_are_told(described: Manifest):
    waiver = WaiverRecord(kind="unanswerable-feed", feed="x", subset=None, entry=None, reason="because", by="somebody")
    waived = described.model_copy(update={"waivers": [waiver]})
    assert "somebody" in openlineage.render(waived)
    told = json.loads(attestation.render(waived))["predicate"]["buildDefinition"]["externalParameters"]["waivers"]
    assert [each["by"] for each in told] == ["somebody"]


def test_another_manifest_is_another_run(described: Manifest):
    other = described.model_copy(update={"release": "2026-01-02.002"})
    assert openlineage.run_id(described) == openlineage.run_id(described) != openlineage.run_id(other)


CHANGES = {
    "a file's digest": (PROVENANCE, "files", lambda d: d["subject"][1]["digest"].update(sha256="0" * 64)),
    "the manifest's digest": (PROVENANCE, "files", lambda d: d["subject"].pop(0)),
    "a source left out": (
        PROVENANCE,
        "source shards",
        lambda d: d["predicate"]["buildDefinition"]["resolvedDependencies"].pop(0),
    ),
    "a list's name": (OPENLINEAGE, "lists", lambda d: next(feeds_of(d)).update(name="feeds/other")),
    "an output left out": (OPENLINEAGE, "files", lambda d: d["outputs"].pop()),
    "nothing in it": (OPENLINEAGE, "missing, or not what it should be", lambda d: d.clear()),
}


def feeds_of(event):
    return (each for each in event["inputs"] if each["name"].startswith("feeds/"))


@pytest.mark.parametrize("change", CHANGES)
def test_verify_finds_lineage_that_says_something_else(root, tmp_path, change):
    release = copy_of(root.path / "releases", tmp_path / "releases").path / "current"
    described = manifest.read(release)
    assert list(statements.differences(release, described)) == []
    name, told, alter = CHANGES[change]
    path = release / name
    lines = path.read_text(encoding="utf-8").splitlines() if name == OPENLINEAGE else [path.read_text(encoding="utf-8")]
    content = json.loads(lines[-1])
    alter(content)
    path.write_text("\n".join([*lines[:-1], json.dumps(content)]), encoding="utf-8")
    (found,) = statements.differences(release, described)
    assert found.startswith(name)
    assert told in found
    path.unlink()
    assert list(statements.differences(release, described)) == [f"{name}: missing, or not what it should be"]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parquet_of(folder: Path) -> list[str]:
    """Files of the editions."""
    return [path.relative_to(folder).as_posix() for path in folder.glob("research*/*/*.parquet")]
