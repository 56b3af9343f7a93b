"""What can be told of a release from its own files."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from relaion_pipeline.audit import published
from relaion_pipeline.release.manifest import ManifestError
from relaion_pipeline_tests.conftest import copy_of

SUBSET = "2B-en"


@pytest.fixture
def release(released, tmp_path) -> Path:
    return copy_of(released.data_root / "releases", tmp_path / "releases").path / "current"


def test_an_untouched_release_differs_in_nothing(release):
    assert published.differences(release) == []


CHANGES = {
    "kept": lambda content: content["subsets"][SUBSET]["kept"].update({"research": 1}),
    "rows": lambda content: content["subsets"][SUBSET].update(rows=content["subsets"][SUBSET]["rows"] + 1),
    "removed": lambda content: content["subsets"][SUBSET]["removed"].update(listed_image=0),
    "file's rows": lambda content: content["files"][0].update(rows=content["files"][0]["rows"] + 1),
    "file's digest": lambda content: content["files"][0].update(sha256="0" * 64),
    "file's size": lambda content: content["files"][0].update(bytes=1),
    "a file left out": lambda content: content["files"].pop(),
    "a file twice": lambda content: content["files"].append(content["files"][0]),
    "a source left out": lambda content: content["shards"].pop(),
    "listed": lambda content: content["subsets"][SUBSET].update(listed=0),
    "listed by too few": lambda content: content["subsets"][SUBSET].update(
        listed_by_feed=dict.fromkeys(content["subsets"][SUBSET]["listed_by_feed"], 0)
    ),
    "listed by too many": lambda content: content["subsets"][SUBSET]["listed_by_feed"].update({"c3p-images": 7_000}),
    "total": lambda content: content["total"].update(rows=1),
    "total listed by feed": lambda content: content["total"]["listed_by_feed"].update({"c3p-images": 0}),
    "total not screened": lambda content: content["total"].update(not_screened_by_image=0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_that_says_something_else(release, change):
    """The checksums agree with it: its own numbers and files give it away."""
    path = release / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    CHANGES[change](content)
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text(json.dumps(content), encoding="utf-8")
    sums = release / "SHA256SUMS"
    new = hashlib.sha256(path.read_bytes()).hexdigest()
    sums.write_text(sums.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert published.differences(release) != []


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"\xff", b'{"format": "relaion-manifest/2"}'])
def test_a_manifest_that_is_none(release, content):
    path = release / "manifest.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        published.differences(release)


def test_files_missing_surplus_and_changed_are_named(release):
    files = sorted((release / "research-safe").rglob("*.parquet"))
    os.truncate(files[0], 100)  # through the hard link, research's too
    files[1].unlink()
    (release / "research" / "surplus.parquet").write_bytes(b"")
    (release / "note.txt").write_text("surplus")
    told = "\n".join(published.differences(release))
    for path in (*files[:2], release / "research" / "surplus.parquet", release / "note.txt"):
        assert path.relative_to(release).as_posix() in told
    assert files[0].relative_to(release / "research-safe").as_posix() in told.replace("research-safe/", "")
    assert files[2].relative_to(release).as_posix() not in told


def test_missing_checksums(release):
    (release / "SHA256SUMS").unlink()
    assert any("SHA256SUMS" in each for each in published.differences(release))
