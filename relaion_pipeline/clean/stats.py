"""img2dataset's `_stats.json`, kept true: counts of what is left."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from relaion_pipeline.clean.errors import CleanError

_SUCCESS = "success"
_COUNT_OF = {_SUCCESS: "successes", "failed_to_download": "failed_to_download", "failed_to_resize": "failed_to_resize"}


def corrected(path: Path, statuses: Counter[tuple[str | None, str | None]], removed: int) -> bytes:
    """The file as it is after `removed` rows went, whose (status, error message) are `statuses`.

    Raises:
        CleanError: it is not img2dataset's, or counts fewer than went.
    """
    content = path.read_bytes()
    if not removed:
        return content
    try:
        stats: dict[str, Any] = json.loads(content)
        _take(stats, "count", removed)
        for (status, message), number in statuses.items():
            if status in _COUNT_OF:
                _take(stats, _COUNT_OF[status], number)
            reason = _SUCCESS if status == _SUCCESS else str(message)
            by_reason = stats["status_dict"]
            if reason in by_reason:  # img2dataset stops naming reasons after the first hundred thousand
                _take(by_reason, reason, number)
                if by_reason[reason] == 0:
                    del by_reason[reason]
    except (ValueError, KeyError, TypeError):
        raise CleanError(
            f"{path}: cannot be kept true: not img2dataset's counts, or they do not fit the rows beside it; "
            "move it away and run again"
        ) from None
    return json.dumps(stats, indent=4).encode()


def _take(counts: dict[str, Any], name: str, number: int) -> None:
    if not isinstance(counts[name], int) or counts[name] < number:
        raise ValueError
    counts[name] -= number
