"""What code made a thing: one digest that changes whenever the code that decides about rows does.

What belongs here: identifying the running code and digesting JSON-like keys.
What does not: digests of files (`shards`), lineage of releases (`release`).
"""

import hashlib
import json
import platform
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from relaion_pipeline import __version__

_DECIDING = ("links", "feeds", "shards", "screening", "ledger", "verification", "release", "audit")
"""Packages whose code decides what a release holds. Orchestration, the command line and pictures do not."""

COMPILING = ("links", "feeds")
SCREENING = (*COMPILING, "shards", "screening")
SETTLING = (*SCREENING, "ledger")
WRITING = ("shards", "release/editions.py")
VERIFYING = (*SETTLING, "verification")
LISTING = ("shards", "feeds/keys.py", "release/removal_lists.py", "release/public_keys.py")
"""What each stage's results depend on: another report template does not have shards screened again."""

DECIDING_LIBRARIES = ("can-ada", "duckdb", "mmh3", "numpy", "publicsuffixlist", "pyarrow", "regex")
"""Libraries that read, match and write rows: another version may give other bytes. Published with a release."""

_OTHER_LIBRARIES = ("cryptography", "dagster", "great-expectations", "ijson", "matplotlib", "pydantic")


@cache
def code_version(parts: tuple[str, ...] = _DECIDING) -> str:
    """Package version and a digest of the source files that decide what a release holds: `0.1.0+1f2e3d4c5b6a`.

    `parts` are packages or modules, for what only these decide.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for name in parts:
        files = [path for ending in ("py", "j2") for path in (package / name).rglob(f"*.{ending}")]
        for path in sorted(files or [package / name]):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{__version__}+{digest.hexdigest()[:12]}"


@cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that take part in making a release, and of Python; what is not installed is left out.

    Those of `DECIDING_LIBRARIES` may decide bytes of a release.
    """
    found = {"python": platform.python_version()}
    for name in (*DECIDING_LIBRARIES, *_OTHER_LIBRARIES):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def key_of(*parts: object) -> str:
    """SHA-256 of JSON-like `parts`; equal parts give equal keys, whatever the order of mappings."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
