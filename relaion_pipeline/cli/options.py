"""What several commands have in common: options, and how an expected error is shown."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

DATA = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    envvar="RELAION_DATA",
    show_default=True,
    show_envvar=True,
    help="The data root: the folder that holds relaion.toml.",
)

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def told(command: Callable[..., None]) -> Callable[..., None]:
    """Show an error that says what to do as one, without a traceback; the exit status is 1."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        from relaion_pipeline.errors import EXPECTED_ERRORS  # noqa: PLC0415  (imports DuckDB)

        try:
            command(*args, **options)
        except EXPECTED_ERRORS as error:
            raise click.ClickException(str(error)) from None

    return run
