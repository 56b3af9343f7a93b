"""The documents that travel with a release, each a function of its manifest alone."""

from pathlib import Path

from relaion_pipeline.layout import PUBLIC_FILE_MODE, write_text
from relaion_pipeline.release import card, croissant, report
from relaion_pipeline.release.manifest import Manifest

DOCUMENTS = {card.CARD: card.render, croissant.CROISSANT: croissant.render, report.REPORT: report.render}
"""File name -> what writes it."""


def write(described: Manifest, folder: Path) -> None:
    """Write card, Croissant metadata and report into the folder of a release."""
    for name, render in DOCUMENTS.items():
        write_text(folder / name, render(described), mode=PUBLIC_FILE_MODE)
