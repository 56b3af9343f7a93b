"""Which run made an asset as it stands: the first of those that gave what it holds now."""

from collections.abc import Iterator

import dagster as dg
import pytest

from relaion_pipeline import runs

KEY = dg.AssetKey(["2B-en", "screened-00"])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def make(instance: dg.DagsterInstance, version: str) -> str:
    """A run that gives this content."""

    @dg.asset(key=KEY)
    def made() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion(version))

    return dg.materialize([made], instance=instance).run_id


def test_nothing_is_said_of_what_nobody_made(instance: dg.DagsterInstance) -> None:
    assert runs.maker(instance, KEY) is None


def test_runs_that_found_all_done_are_passed_over(instance: dg.DagsterInstance) -> None:
    make(instance, "a")
    maker = make(instance, "b")
    assert runs.maker(instance, KEY) == maker
    make(instance, "b")
    make(instance, "b")
    assert runs.maker(instance, KEY) == maker


def test_content_that_came_back_was_made_anew(instance: dg.DagsterInstance) -> None:
    make(instance, "a")
    make(instance, "b")
    again = make(instance, "a")
    assert runs.maker(instance, KEY) == again


def test_what_was_reported_by_hand_made_nothing(instance: dg.DagsterInstance) -> None:
    maker = make(instance, "a")
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
    assert runs.maker(instance, KEY) == maker


def test_any_number_of_runs_is_looked_through(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_MADE_PAGE", 2)
    made = [make(instance, version) for version in "abbbbb"]
    assert runs.maker(instance, KEY) == made[1]
    newest = make(instance, "c")
    assert runs.maker(instance, KEY) == newest
