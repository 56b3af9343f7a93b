"""Retention: exactly the oldest go, never the newest, the current or a published one; a crash leaves nothing half."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from relaion_pipeline.history import releases, retention
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.publish.errors import PublishError
from relaion_pipeline.release import assemble, records, versions
from relaion_pipeline_tests.history import made

ALL = [f"2026-01-0{day}.001" for day in range(1, 7)]


@pytest.fixture
def root(tmp_path):
    found = DataRoot.at(tmp_path)
    for version in ALL:
        made.bare_release(found, version)
    versions.make_current(found, ALL[-1])
    return found


def publish(root, destination, **when):
    path = root.publication(destination)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"to": "x", "releases": {v: {"published": at} for v, at in when.items()}}))


@pytest.mark.parametrize("keep", [None, 6, 7, 5, 3, 1])
def test_as_many_stay_as_are_kept(root, keep):
    went = retention.apply(root, keep)
    stay = ALL if keep is None else ALL[-keep:]
    assert versions.released(root) == stay
    assert went == retention.Retained(tuple(version for version in ALL if version not in stay))
    assert [path.name for path in root.releases.iterdir() if path.name not in {*stay, "current"}] == []
    assert releases.known_versions(root) == ALL
    for version in went.removed:
        kept = root.kept_manifest(version)
        assert kept.read_text() == f"of {version}"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert records.read(root, version).version == version


def test_the_current_and_the_published_stay(root):
    versions.make_current(root, ALL[1])
    publish(root, "mirror", **{ALL[2]: "2026-01-03T00:00:00+00:00"})
    publish(root, "gone-from-the-settings", **{ALL[3]: None})  # being sent
    assert retention.apply(root, 1).removed == (ALL[0], ALL[4])
    assert versions.released(root) == [ALL[1], ALL[2], ALL[3], ALL[5]]
    assert retention.apply(root, 1) == retention.Retained()


def test_where_what_was_published_is_not_known_all_stay(root):
    root.publication("mirror").parent.mkdir(parents=True)
    root.publication("mirror").write_text('{"to": ')
    (problem,) = retention.apply(root, 1).problems
    assert "mirror.json" in problem
    assert versions.released(root) == ALL
    with pytest.raises(PublishError):
        retention.surplus(root, 1)


def test_one_that_cannot_go_is_told_and_stops_no_other(root):
    root.release_record(ALL[1]).write_text("{")
    (root.release(ALL[2]) / "manifest.json").unlink()
    went = retention.apply(root, 2)
    assert went.removed == (ALL[0], ALL[3])
    assert [ALL[1] in went.problems[0], ALL[2] in went.problems[1]] == [True, True]
    assert versions.released(root) == [ALL[1], ALL[2], *ALL[4:]]


def test_files_that_another_release_holds_stay(root):
    rows = root.release(ALL[0]) / "research" / "rows"
    shared = root.release(ALL[-1]) / "research" / "shared"
    shared.hardlink_to(rows)
    assert shared.stat().st_nlink == 2
    retention.apply(root, 1)
    assert (shared.read_text(), shared.stat().st_nlink) == (ALL[0], 1)


@pytest.mark.parametrize("step", ["write_text", "rename", "rmtree"])
def test_a_crash_leaves_a_release_or_none(root, monkeypatch, step):
    whole = sorted(path.relative_to(root.release(ALL[0])) for path in root.release(ALL[0]).rglob("*"))

    def dies(*arguments, **options):
        raise KeyboardInterrupt

    def dies_half_way(folder):
        next(path for path in Path(folder).rglob("*") if path.is_file()).unlink()
        raise KeyboardInterrupt

    where, death = {
        "write_text": (retention, dies),
        "rename": (Path, dies),
        "rmtree": (shutil, dies_half_way),
    }[step]
    with monkeypatch.context() as patched:
        patched.setattr(where, step, death)
        with pytest.raises(KeyboardInterrupt):
            retention.apply(root, 1)
    if step == "rmtree":
        assert versions.released(root) == ALL[1:]
    else:
        assert versions.released(root) == ALL
        assert sorted(path.relative_to(root.release(ALL[0])) for path in root.release(ALL[0]).rglob("*")) == whole
    assert releases.known_versions(root) == ALL, "history is whole at every moment"
    assemble.clear_leftovers(root)
    retention.apply(root, 1)
    assert sorted(path.name for path in root.releases.iterdir()) == [ALL[-1], "current"]
