"""The documents that travel with a release, each a function of its manifest alone."""

from pathlib import Path

from relaion_pipeline.layout import PUBLIC_FILE_MODE, write_text
from relaion_pipeline.release.manifest import Manifest

CARD = "README.md"
CROISSANT = "croissant.json"
REPORT = "report.html"


def write(described: Manifest, folder: Path) -> None:
    """Write card, Croissant metadata and report into the folder of a release."""
    from relaion_pipeline.release import card, croissant, report  # noqa: PLC0415  (imports matplotlib)

    for name, render in ((CARD, card.render), (CROISSANT, croissant.render), (REPORT, report.render)):
        write_text(folder / name, render(described), mode=PUBLIC_FILE_MODE)
