"""Which columns of a copy hold the link and the text."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.settings import Columns
from relaion_pipeline.shards import ShardError, resolve
from relaion_pipeline.shards.presets import AUTO, shown


@dataclass(frozen=True)
class Pair:
    """The two columns that keys are made of."""

    link: str
    text: str | None


@dataclass(frozen=True)
class Choice:
    """What the user said of the columns: a preset, their names, or nothing."""

    preset: str = AUTO
    link: str | None = None
    text: str | None = None
    wants_text: bool = True

    @property
    def setting(self) -> str | Columns:
        """As `relaion_pipeline.shards` takes it."""
        if self.link is None:
            return self.preset
        return Columns.model_validate({"link": self.link, "text": self.text})

    def find(self, schema: pa.Schema, path: Path) -> Pair:
        """The columns of the file at `path`.

        Raises:
            CleanError: they cannot be told.
        """
        try:
            columns = resolve(self.setting, schema, name=str(path))
        except ShardError:
            raise CleanError(
                f"{path}: its columns for link and text cannot be told, or hold no text; name them with --link-column "
                f"and --text-column (or a preset with --columns). Columns found: {shown(schema.names)}"
            ) from None
        if self.wants_text and columns.text is None:
            raise CleanError(
                f"{path}: no column with texts; name it with --text-column, or compare links alone with --by link"
            )
        return Pair(columns.link, columns.text if self.wants_text else None)
