"""Whether a release is due, from the inputs as they are and what became of earlier runs.

What belongs here: the rules. What does not: finding out what they are asked about (`watch`, and Dagster's runs).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_TRIES = 3
"""How often the same inputs are tried when runs end without saying why: one may have been killed for its memory."""


class Ending(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # it said why, or somebody cancelled it
    INTERRUPTED = "interrupted"  # killed, or its machine went down


@dataclass(frozen=True)
class Attempt:
    """A run that has ended and could have made a release."""

    run: str
    state: str | None  # the inputs that it was launched for; None where somebody launched it by hand
    ending: Ending


@dataclass(frozen=True)
class Decision:
    """Whether to launch a run, and why."""

    run_key: str | None  # None: no run. Differs between two comings of the same state, and between two tries
    reason: str


def decide(state: str, released: str | None, attempts: Sequence[Attempt]) -> Decision:
    """Whether to launch a run.

    Args:
        state: name of the inputs as they are now.
        released: version of the release that was made from just these, if there is one.
        attempts: runs that ended, newest first.
    """
    if released is not None:
        return Decision(None, f"nothing changed since release {released}")
    tries = []
    for attempt in attempts:
        if attempt.state != state:
            break  # a later change, or a run that somebody launched: these inputs have come anew
        tries.append(attempt)
    if tries and tries[0].ending is Ending.FAILED:
        return Decision(
            None,
            f"run {tries[0].run} failed with just these inputs; they are tried again when one of them changes, or when "
            f"somebody runs `relaion release`",
        )
    if len(tries) >= MOST_TRIES:
        return Decision(
            None,
            f"{len(tries)} runs with just these inputs made no release, the last of them {tries[0].run}. Were they "
            f"killed? Look at limits.memory. Was the package updated? Restart the UI. Then run `relaion release`",
        )
    return Decision(f"{state}-after-{attempts[0].run if attempts else 'none'}", "inputs changed")
