"""The whole proof of a release, for whoever holds its data root."""

from pathlib import Path

from relaion_pipeline import settings
from relaion_pipeline.audit import published
from relaion_pipeline.audit.published import Finding, NoReleaseError
from relaion_pipeline.database import QueryError
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.progress import Listener
from relaion_pipeline.release import manifest, signature, versions
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.signature import TrustedKey
from relaion_pipeline.verification import listed
from relaion_pipeline.verification.verifier import VerificationError, Verifier


def of_release(root: DataRoot, version: str, listener: Listener, key: TrustedKey | None = None) -> list[Finding]:
    """Prove a release (`current`, or a version): first what it says of itself, then against feeds and shards.

    Its signature is held against `key`, or against the data root's own.

    Raises:
        NoReleaseError: there is no such release.
    """
    folder = folder_of(root, version)
    inputs = Inputs(root, settings.load(root.path))
    findings = published.examine(folder, key or signature.own_key(root, folder))
    return findings + against_inputs(inputs, folder, listener)


def against_inputs(inputs: Inputs, folder: Path, listener: Listener) -> list[Finding]:
    """Prove the files of a release against feeds and shards as they are now."""
    root, lists = inputs.root, listed.read_lists(inputs.settings, inputs.root)
    verifier = Verifier(root, inputs.settings, lists, inputs.keywords, inputs.ledger.until(folder.name))
    try:
        return published.prove(folder, inputs.shards, verifier, lambda rows: listener("verified", rows))
    except (QueryError, VerificationError) as error:  # what was found before must not be lost for it
        return [Finding("published_rows_can_be_read", passed=False, detail=str(error))]


def source_rows(root: DataRoot, version: str) -> int:
    """How many rows the source of a release has.

    Raises:
        NoReleaseError: there is no such release; or ManifestError, no manifest.
    """
    return manifest.read(folder_of(root, version)).total.rows


def is_version(root: DataRoot, name: str) -> bool:
    """Whether `name` is meant as a version of the data root, not as a folder: `./` before a folder's name tells."""
    if name == "current":
        return True
    return versions.VERSION.fullmatch(name) is not None and (root.release(name).is_dir() or not Path(name).is_dir())


def folder_of(root: DataRoot, version: str) -> Path:
    if version == "current":
        return published.current_release(root)
    if version not in versions.released(root):
        known = ", ".join(versions.released(root)) or "none yet"
        raise NoReleaseError(f"{root.releases}: there is no release {version}; there are: {known}")
    return root.release(version)
