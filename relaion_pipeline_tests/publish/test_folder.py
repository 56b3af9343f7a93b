"""Publishing to a folder, and what is never published."""

import json
import os
import re

import dagster as dg
import pytest

from relaion_pipeline import definitions, launch, settings
from relaion_pipeline.assets import graph
from relaion_pipeline.jobs import RELEASE_JOB
from relaion_pipeline.publish import contents, stores
from relaion_pipeline.publish.errors import PublishError
from relaion_pipeline.settings import SettingsError
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.publish.conftest import of_edition, tree


def said(outcome):
    return re.sub(r"\s+", " ", outcome.output)


def test_off_until_configured(root, publish, destined, tmp_path):
    names = {key.to_user_string() for key in definitions.build_defs(root).resolve_asset_graph().get_all_asset_keys()}
    assert "published_release" not in names
    before = settings.load(root.path).digest()
    outcome = publish()
    assert outcome.exit_code == 1
    assert "[publish.NAME]" in outcome.output
    destined(tmp_path / "mirror")
    assets = definitions.build_defs(root).resolve_asset_graph()
    keys = {key.to_user_string(): key for key in assets.get_all_asset_keys()}
    assert {key.to_user_string() for key in assets.get(keys["published_release"]).parent_keys} == {
        "release",
        "settings",
    }
    assert settings.load(root.path).digest() == before, "where to publish must not change what is released"


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_folder_gets_the_release_and_nothing_else(root, destined, publish, tmp_path, form):
    destined(form.format(tmp_path / "mirror"), proof="full")
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    assert tree(tmp_path / "mirror" / shared.VERSION) == tree(root.current.resolve())
    assert [path.name for path in (tmp_path / "mirror").iterdir()] == [shared.VERSION]
    twins = [tmp_path / "mirror" / shared.VERSION / e / "2B-en" for e in ("research", "research-safe")]
    name = min(path.name for path in twins[1].iterdir())
    assert (twins[0] / name).stat().st_ino == (twins[1] / name).stat().st_ino, "the same bytes lie there once"
    again = publish()
    assert again.exit_code == 0
    assert "sent 0 files" in again.output


def test_one_edition(root, destined, publish, tmp_path):
    destined(tmp_path / "mirror", editions='["research-safe"]')
    assert publish().exit_code == 0
    folder = tmp_path / "mirror" / shared.VERSION
    assert not (folder / "research").exists()
    assert not (folder / "removals" / "research").exists()
    assert tree(folder) == of_edition(root, "research-safe")
    assert set(tree(folder)) == {name for name in tree(root.current.resolve()) if "research/" not in name}
    assert shared.run("verify", folder, "--edition", "research-safe").exit_code == 0
    assert shared.run("verify", folder).exit_code == 1


def test_a_dry_run_lists_what_would_go_and_sends_nothing(root, destined, publish, tmp_path):
    destined(tmp_path / "mirror")
    outcome = publish("--dry-run")
    assert outcome.exit_code == 0, outcome.output
    files = tree(root.current.resolve())
    for name in files:
        assert name.rpartition("/")[2] in outcome.output
    assert f"would send {len(files)} files, {sum(map(len, files.values())):,} bytes" in said(outcome)
    assert not (tmp_path / "mirror").exists()
    assert publish().exit_code == 0
    assert "would send 0 files" in publish("--dry-run").output


@pytest.mark.parametrize("proof", ["full", "gate"])
def test_a_release_that_fails_verification_is_not_published(root, destined, publish, tmp_path, proof):
    destined(tmp_path / "mirror", proof=proof)
    path = root.current.resolve() / "README.md"
    path.write_text(path.read_text() + " ")
    outcome = publish()
    assert outcome.exit_code == 1
    assert "README.md" in outcome.output
    assert "nothing was sent" in said(outcome)
    assert not (tmp_path / "mirror").exists()


@pytest.mark.parametrize("record", ["failed", "of another release", "missing"])
def test_without_a_pass_of_the_gate_for_just_this_release_nothing_goes(root, destined, publish, tmp_path, record):
    destined(tmp_path / "mirror")
    content = json.loads(root.gate.read_text())
    change = {"failed": {"passed": False}, "of another release": {"evidence_sha256": "0" * 64}, "missing": {}}[record]
    root.gate.write_text(json.dumps(content | change))
    if record == "missing":
        root.gate.unlink()
    assert "the gate passed for just this release" in said(publish())
    assert not (tmp_path / "mirror").exists()


def test_half_a_folder_is_gone_on_with_and_never_seen(root, destined, publish, tmp_path, monkeypatch):
    destined(tmp_path / "mirror")
    put, sent = stores.Folder.put, []

    def failing(self, item, twin):
        if len(sent) == 5:
            raise PublishError("the disk is gone")
        sent.append(item.name)
        put(self, item, twin)

    monkeypatch.setattr(stores.Folder, "put", failing)
    assert publish().exit_code == 1
    assert [path.name for path in (tmp_path / "mirror").iterdir()] == [f".{shared.VERSION}.partial"]
    monkeypatch.setattr(stores.Folder, "put", put)
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    total = len(tree(root.current.resolve()))
    assert f"sent {total - 5} files" in said(outcome)
    assert tree(tmp_path / "mirror" / shared.VERSION) == tree(root.current.resolve())


def test_damage_on_the_way_is_found(root, destined, publish, tmp_path, monkeypatch):
    destined(tmp_path / "mirror")
    put = stores.Folder.put

    def damaging(self, item, twin):
        put(self, item, twin)
        if item.name == "README.md":
            path = self._base / item.name
            path.write_bytes(path.read_bytes()[:-1] + b"x")

    monkeypatch.setattr(stores.Folder, "put", damaging)
    outcome = publish()
    assert outcome.exit_code == 1
    assert "README.md did not arrive" in said(outcome)
    assert not (tmp_path / "mirror" / shared.VERSION).exists()


def test_a_published_release_that_somebody_changed_is_not_touched(root, destined, publish, tmp_path):
    destined(tmp_path / "mirror")
    assert publish().exit_code == 0
    path = tmp_path / "mirror" / shared.VERSION / "README.md"
    path.write_text("changed")
    outcome = publish()
    assert outcome.exit_code == 1
    assert "README.md" in outcome.output
    assert path.read_text() == "changed"
    path.unlink()
    (path.parent / "stray.txt").write_text("x")
    assert publish().exit_code == 1


@pytest.mark.parametrize("name", ["../../private/signing.key", "/etc/hostname", ".hidden", "research/../../x", "gone"])
def test_no_name_leads_out_of_the_release(root, name):
    folder = root.current.resolve()
    (folder / ".hidden").write_text("x")
    (folder / "SHA256SUMS").write_text((folder / "SHA256SUMS").read_text() + f"{'0' * 64}  {name}\n")
    with pytest.raises(PublishError, match="no file of the release"):
        contents.contents(root, folder, ["research", "research-safe"])


def test_no_link_is_followed_out_of_the_release(root):
    folder = root.current.resolve()
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(root.signing_key)
    with pytest.raises(PublishError, match=r"README\.md"):
        contents.contents(root, folder, ["research", "research-safe"])


@pytest.mark.parametrize("inside", ["private/mirror", "releases"])
def test_the_data_root_itself_is_no_destination(root, destined, publish, inside):
    destined(inside)
    outcome = publish()
    assert outcome.exit_code == 1
    assert "data root's own" in said(outcome)


@pytest.mark.parametrize(
    "lines",
    [
        'to = "s3://bucket"\noptions = { key = "AKIAINVENTED", secret = "hunter2hunter2" }',
        'to = "s3://bucket"\noptions = { client_kwargs = { aws_secret_access_key = "hunter2hunter2" } }',
        'to = "hf://datasets/o/n-{edition}"\ntoken = "hunter2hunter2"',
        'to = "ftp://me:hunter2hunter2@host/x"',
        'to = "s3://AKIA:hunter2hunter2@bucket"',
    ],
)
def test_credentials_in_the_settings_are_refused_and_not_repeated(root, lines):
    path = root.path / "relaion.toml"
    path.write_text(path.read_text() + f"\n[publish.mirror]\n{lines}\n")
    with pytest.raises(SettingsError, match="environment only") as raised:
        settings.load(root.path)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("to", ["hf://datasets/owner/name", "hf://datasets/name-{edition}", "s3://bucket/{edition}"])
def test_repositories_are_named_by_edition(root, destined, to):
    destined(to)
    with pytest.raises(SettingsError, match=r"publish\.mirror"):
        settings.load(root.path)


def test_the_record_is_private(root, destined, publish, tmp_path):
    destined(tmp_path / "mirror")
    assert publish().exit_code == 0
    for path in (root.private / "publish").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    record = json.loads(root.publication("mirror").read_text())
    assert record["releases"][shared.VERSION]["published"]
    assert os.fspath(tmp_path / "mirror") == record["to"]


def test_a_release_run_with_nothing_to_do_says_what_is_not_published(root, destined, publish, tmp_path):
    destined(tmp_path / "mirror")
    destined(tmp_path / "other", name="other", editions='["research-safe"]')
    outcome = shared.run("release", "--data", root.path)
    assert outcome.exit_code == 0, outcome.output
    assert f"Not published yet to: mirror, other. Run: relaion publish --data {root.path}" in said(outcome)
    assert publish("--to", "mirror").exit_code == 0
    assert "Not published yet to: other." in said(shared.run("release", "--data", root.path))
    assert publish().exit_code == 0
    assert "Not published" not in shared.run("release", "--data", root.path).output
    settings_file = root.path / "relaion.toml"
    settings_file.write_text(settings_file.read_text().replace('editions = ["research-safe"]\n', ""))
    assert "Not published yet to: other." in said(shared.run("release", "--data", root.path)), "an edition is missing"


def test_the_asset_publishes_and_says_so(root, destined, tmp_path, monkeypatch):
    destined(tmp_path / "mirror")
    monkeypatch.setenv("DAGSTER_HOME", str(launch.prepare_home(root)))
    job = definitions.build_defs(root).resolve_job_def(RELEASE_JOB)
    with dg.DagsterInstance.get() as instance:
        run = job.execute_in_process(instance=instance, asset_selection=[graph.PUBLISHED_RELEASE])
    (event,) = run.asset_materializations_for_node("published_release")
    assert event.metadata["version"].value == shared.VERSION
    files = len(tree(root.current.resolve()))
    assert event.metadata["sent to mirror"].value == f"{files} files, 0 were there"
    assert tree(tmp_path / "mirror" / shared.VERSION) == tree(root.current.resolve())
