"""The whole proof of a release, for whoever holds its data root."""

from pathlib import Path

from relaion_pipeline import settings
from relaion_pipeline.audit import listed, published
from relaion_pipeline.audit.published import Finding, NoReleaseError
from relaion_pipeline.audit.verification import VerificationError, Verifier
from relaion_pipeline.database import QueryError
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.progress import Listener
from relaion_pipeline.release import versions
from relaion_pipeline.release.inputs import Inputs


def of_release(root: DataRoot, version: str, listener: Listener) -> list[Finding]:
    """Prove a release (`current`, or a version): first what it says of itself, then against feeds and shards.

    Raises:
        NoReleaseError: there is no such release.
    """
    folder = _folder(root, version)
    inputs = Inputs(root, settings.load(root.path))
    wrong = published.differences(folder)
    findings = [Finding("files_are_those_of_manifest_and_checksums", not wrong, "; ".join(wrong[:5]))]
    verifier = Verifier(root, inputs.settings, listed.read_lists(inputs.settings, root), inputs.keywords)
    try:
        return findings + published.prove(folder, inputs.shards, verifier, lambda rows: listener("verified", rows))
    except (QueryError, VerificationError) as error:  # what was found before must not be lost for it
        return [*findings, Finding("published_rows_can_be_read", passed=False, detail=str(error))]


def _folder(root: DataRoot, version: str) -> Path:
    if version == "current":
        return published.current_release(root)
    if version not in versions.released(root):
        known = ", ".join(versions.released(root)) or "none yet"
        raise NoReleaseError(f"{root.releases}: there is no release {version}; there are: {known}")
    return root.release(version)
