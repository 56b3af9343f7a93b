"""The documents that travel with a release, each a function of its manifest alone."""

from pathlib import Path

from relaion_pipeline import startup
from relaion_pipeline.layout import EDITIONS, PUBLIC_FILE_MODE, write_text
from relaion_pipeline.release.manifest import Manifest

CARD = "README.md"
CROISSANT = "croissant.json"
REPORT = "report.html"
OPENLINEAGE = "lineage/openlineage.jsonl"
PROVENANCE = "lineage/provenance.intoto.json"


def write(described: Manifest, folder: Path) -> None:
    """Write card, Croissant metadata, report and lineage into the folder of a release."""
    with startup.importing():  # matplotlib, OpenLineage and in-toto
        from relaion_pipeline.release import attestation, openlineage, report  # noqa: PLC0415

    contents = of_editions(described, EDITIONS) | {
        REPORT: report.render(described),
        OPENLINEAGE: openlineage.render(described),
        PROVENANCE: attestation.render(described),
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_text(folder / name, content, mode=PUBLIC_FILE_MODE)


def of_editions(described: Manifest, held: tuple[str, ...]) -> dict[str, str]:
    """Card and Croissant metadata of a copy that holds the editions `held`, by name: they tell what can be loaded."""
    from relaion_pipeline.release import card, croissant  # noqa: PLC0415

    return {CARD: card.render(described, held), CROISSANT: croissant.render(described, held)}
