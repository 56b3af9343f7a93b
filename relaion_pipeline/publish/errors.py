"""What goes wrong when a release is published."""

import os
import re

_CREDENTIAL = re.compile(r"key|secret|token|passw|pwd|credential|auth|sas|signature|connection_string", re.IGNORECASE)
_SHORTEST_SECRET = 8
_LONGEST = 300


class PublishError(Exception):
    """A release was not, or not wholly, published; the message says where and what to do."""


def is_credential(name: str) -> bool:
    """Whether a key or variable of this name may hold a credential."""
    return _CREDENTIAL.search(name) is not None


def plain(error: BaseException) -> str:
    """What another library says of an error, on one line and without what could be a credential."""
    text = re.sub(r"\?[^\s'\"]+", "?...", " ".join(str(error).split()))  # signed links carry credentials
    text = re.sub(r"//[^/@\s]+@", "//...@", text)
    for name, value in os.environ.items():
        if is_credential(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "...")
    return f"{type(error).__name__}: {text[:_LONGEST]}" if text else type(error).__name__
