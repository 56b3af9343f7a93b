"""Releases as they lie in a data root, made without the pipeline: copies of one, with other numbers and inputs."""

import json
import subprocess
from pathlib import Path
from typing import Any

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import records, versions
from relaion_pipeline.release.records import ReleaseRecord, UsedInputs


def copy_release(root: DataRoot, of: str, version: str, inputs: UsedInputs | None = None) -> Path:
    """Another release with the bytes of `of`, current now; its record says that it was made from `inputs`."""
    subprocess.run(["cp", "-a", root.release(of), root.release(version)], check=True)
    record = records.read(root, of)
    assert record is not None
    content = record.model_copy(update={"version": version})
    if inputs is not None:
        content = content.model_copy(update={"inputs": inputs, "inputs_sha256": inputs.sha256})
    records.write(content, root)
    versions.make_current(root, version)
    return root.release(version)


def edit_manifest(folder: Path, **changes: Any) -> None:
    """Change what a release says of itself."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def bare_release(root: DataRoot, version: str) -> Path:
    """A folder with a manifest that is none, and a record: enough to be kept or removed."""
    folder = root.release(version)
    (folder / "research").mkdir(parents=True)
    (folder / "manifest.json").write_text(f"of {version}", encoding="utf-8")
    (folder / "research" / "rows").write_text(version, encoding="utf-8")
    records.write(ReleaseRecord(version=version, inputs_sha256="", evidence_sha256=""), root)
    return folder
