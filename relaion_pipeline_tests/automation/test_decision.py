"""The rules alone: when a run is launched, and under which key."""

import pytest

from relaion_pipeline.unattended.decision import MOST_TRIES, Attempt, Ending, decide

A, B = "a" * 16, "b" * 16


def ended(*runs: tuple[str | None, Ending]) -> list[Attempt]:
    """Runs from the newest to the oldest, numbered from the oldest."""
    return [Attempt(f"run-{len(runs) - at}", state, ending) for at, (state, ending) in enumerate(runs)]


def test_nothing_changed_nothing_runs() -> None:
    decision = decide(A, "2026-01-01.001", [])
    assert decision.run_key is None
    assert "2026-01-01.001" in decision.reason


def test_the_first_release_of_all() -> None:
    assert decide(A, None, []).run_key is not None


def test_what_failed_is_not_tried_again() -> None:
    decision = decide(A, None, ended((A, Ending.FAILED), (B, Ending.SUCCEEDED)))
    assert decision.run_key is None
    assert "run-2 failed" in decision.reason
    assert decide(A, None, ended((A, Ending.INTERRUPTED), (A, Ending.FAILED))).run_key is not None


@pytest.mark.parametrize("between", [(B, Ending.FAILED), (B, Ending.SUCCEEDED), (None, Ending.FAILED)])
def test_a_change_or_a_run_by_hand_resets(between: tuple[str | None, Ending]) -> None:
    assert decide(A, None, ended(between, (A, Ending.FAILED))).run_key is not None


@pytest.mark.parametrize("ending", [Ending.INTERRUPTED, Ending.SUCCEEDED])
def test_what_ends_without_a_word_is_tried_a_few_times(ending: Ending) -> None:
    """A run that was killed is launched again; one that is killed each time, for its memory say, is not for ever."""
    for tries in range(MOST_TRIES):
        assert decide(A, None, ended(*[(A, ending)] * tries)).run_key is not None
    assert decide(A, None, ended(*[(A, ending)] * MOST_TRIES)).run_key is None


def test_keys_differ_where_a_run_is_meant_anew_and_only_there() -> None:
    """Dagster launches one run a key: an earlier state that comes back needs a new one, a second look the same."""
    first = decide(A, None, ended((B, Ending.SUCCEEDED))).run_key
    assert decide(A, None, ended((B, Ending.SUCCEEDED))).run_key == first
    back = decide(A, None, ended((B, Ending.SUCCEEDED), (A, Ending.SUCCEEDED), (B, Ending.SUCCEEDED))).run_key
    again = decide(A, None, ended((A, Ending.INTERRUPTED), (B, Ending.SUCCEEDED))).run_key
    assert len({first, back, again, decide(B, None, []).run_key}) == 4
