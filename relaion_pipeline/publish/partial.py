"""What stands in place of a release's own documents where one edition goes alone.

The card and the Croissant metadata of a release name both editions, and its checksums every file. Whoever gets one
edition gets a card, Croissant metadata and checksums of that edition, all made from the release's manifest and
checksums, and signed with the release's key. The manifest itself is the release's.
"""

from pathlib import Path

from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.publish.errors import PublishError
from relaion_pipeline.release import documents, manifest, signature
from relaion_pipeline.release.manifest import CHECKSUMS
from relaion_pipeline.release.signature import CHECKSUMS_SIGNATURE, SignatureError
from relaion_pipeline.shards import sha256_file


def documents_of(root: DataRoot, release: Path, edition: str) -> Path:
    """The folder of these files. They are made once: the release is to be the same wherever it goes, and whenever.

    Raises:
        PublishError: they cannot be signed, or what renders them is not installed.
    """
    folder = root.partial(release.name, sha256_file(release / CHECKSUMS), edition)
    if not (folder / CHECKSUMS_SIGNATURE).exists():  # the last to be written
        make_private(folder)
        try:
            rendered = documents.of_editions(manifest.read(release), (edition,))
            for name, content in rendered.items():
                write_text(folder / name, content)
            write_text(folder / CHECKSUMS, _checksums(release, edition, folder, set(rendered)))
            signature.sign_again(folder, CHECKSUMS, root, release)
        except SignatureError as error:
            raise PublishError(str(error)) from None
        except ImportError:
            raise PublishError(
                f"a card of {edition} alone needs more: pip install 'relaion-pipeline[pipeline]'"
            ) from None
    return folder


def _checksums(release: Path, edition: str, folder: Path, rendered: set[str]) -> str:
    lines = []
    for line in (release / CHECKSUMS).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if manifest.goes_with(name, (edition,)):
            lines.append(f"{sha256_file(folder / name) if name in rendered else digest}  {name}\n")
    return "".join(lines)
