"""A release trusts no order: each kind of being behind is refused, and the shard is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from relaion_pipeline import settings
from relaion_pipeline.assets.slices import settler, verifier
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import readiness
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.readiness import ReleaseRefusedError

SUBSET = "2B-en"


@pytest.fixture
def root(copied) -> DataRoot:
    return copied()


def check(root: DataRoot) -> readiness.Ready:
    inputs = Inputs(root, settings.load(root.path))
    return readiness.check(inputs, settler(inputs), verifier(inputs))


def stem(root: DataRoot) -> str:
    return min((root.path / "raw" / SUBSET).glob("*.parquet")).stem


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def edit_part(path: Path, part: str, **changes: object) -> None:
    edit(path, **{part: json.loads(path.read_text(encoding="utf-8"))[part] | changes})


def test_what_was_released_is_ready(root, released):
    ready = check(root)
    assert len(ready.staged) == released.shards
    assert sum(each.rows for each in ready.counts.values()) == sum(released.rows.values())
    assert ready.gate.passed


BEHIND: dict[str, tuple[Callable[[DataRoot], object], str]] = {
    "no verdicts": (lambda root: root.verdicts(SUBSET, stem(root)).unlink(), "its verdicts"),
    "broken verdicts": (lambda root: root.verdicts(SUBSET, stem(root)).write_bytes(b"PAR1"), "its verdicts"),
    "no edition files": (lambda root: root.edition_record(SUBSET, stem(root)).unlink(), "its edition files"),
    "edition files of other verdicts": (
        lambda root: edit(root.edition_record(SUBSET, stem(root)), key="0" * 64),
        "its edition files",
    ),
    "edition files other than verified": (
        lambda root: edit_part(root.edition_record(SUBSET, stem(root)), "safe", sha256="0" * 64),
        "not verified",
    ),
    "no evidence": (lambda root: root.evidence(SUBSET, stem(root)).unlink(), "not verified"),
    "evidence of something else": (
        lambda root: edit(root.evidence(SUBSET, stem(root)), key="0" * 64),
        "not verified",
    ),
}


@pytest.mark.parametrize("what", BEHIND)
def test_a_shard_that_is_behind_is_named(root, what):
    change, told = BEHIND[what]
    change(root)
    with pytest.raises(ReleaseRefusedError) as caught:
        check(root)
    (line, *_) = str(caught.value).split("\n")
    assert stem(root) in line
    assert told in line
    assert "relaion release" in str(caught.value)


@pytest.mark.parametrize("threshold", ["research_above = 0.9\n", "research_safe_above = 0.4\n"])
def test_other_rules_put_every_shard_behind(root, threshold):
    path = root.path / "relaion.toml"
    text = path.read_text(encoding="utf-8")
    key = threshold.partition(" ")[0]
    lines = [threshold if line.startswith(key) else line for line in text.splitlines(keepends=True)]
    path.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(ReleaseRefusedError, match="its verdicts"):
        check(root)


def test_other_keywords_put_every_shard_behind(root):
    with (root.path / "keywords.txt").open("a", encoding="utf-8") as file:
        file.write("another\n")
    with pytest.raises(ReleaseRefusedError, match="its verdicts"):
        check(root)


def test_a_list_that_changed_since_puts_every_shard_behind(root):
    with (root.path / "feeds" / "hrw" / "links.txt").open("a", encoding="utf-8") as file:
        file.write("https://new.example/listed.jpg\n")
    with pytest.raises(ReleaseRefusedError, match="not verified"):
        check(root)


def test_no_gate(root):
    root.gate.unlink()
    with pytest.raises(ReleaseRefusedError, match="gate has not judged"):
        check(root)


def test_a_gate_that_judged_something_else(root):
    edit(root.gate, evidence_sha256="0" * 64)
    with pytest.raises(ReleaseRefusedError, match="gate has not judged"):
        check(root)


def test_evidence_that_changed_since_the_gate(root):
    """Its key still says that it is of these files; the gate judged other counts."""
    edit(root.evidence(SUBSET, stem(root)), listed_in_research=1)
    with pytest.raises(ReleaseRefusedError, match="gate has not judged"):
        check(root)


def test_a_gate_that_failed(root):
    edit(root.gate, passed=False, failed=["kept_values_unchanged"])
    with pytest.raises(ReleaseRefusedError, match="the gate failed: kept_values_unchanged"):
        check(root)


def test_many_are_not_all_listed(root, released):
    for path in (root.private / "evidence").rglob("*.json"):
        path.unlink()
    with pytest.raises(ReleaseRefusedError) as caught:
        check(root)
    assert str(caught.value).count("not verified") == min(released.shards, 10)
