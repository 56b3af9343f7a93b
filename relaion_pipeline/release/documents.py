"""The documents that travel with a release, each a function of its manifest alone."""

from pathlib import Path

from relaion_pipeline.layout import EDITIONS, PUBLIC_FILE_MODE, write_text
from relaion_pipeline.release.manifest import Manifest

CARD = "README.md"
CROISSANT = "croissant.json"
REPORT = "report.html"


def write(described: Manifest, folder: Path) -> None:
    """Write card, Croissant metadata and report into the folder of a release."""
    from relaion_pipeline.release import report  # noqa: PLC0415  (imports matplotlib)

    for name, content in of_editions(described, EDITIONS).items():
        write_text(folder / name, content, mode=PUBLIC_FILE_MODE)
    write_text(folder / REPORT, report.render(described), mode=PUBLIC_FILE_MODE)


def of_editions(described: Manifest, held: tuple[str, ...]) -> dict[str, str]:
    """Card and Croissant metadata of a copy that holds the editions `held`, by name: they tell what can be loaded."""
    from relaion_pipeline.release import card, croissant  # noqa: PLC0415

    return {CARD: card.render(described, held), CROISSANT: croissant.render(described, held)}
