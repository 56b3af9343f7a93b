"""The command line: `relaion`.

What belongs here: commands, their options and what they print. What does not: the work itself.

A command imports what it needs when it runs: asking for help, or cleaning a copy, loads no Dagster.
"""

import click

from relaion_pipeline import __version__
from relaion_pipeline.cli import checking, cleaning, data_root, takedowns, versions


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="relaion")
def main() -> None:
    """Clean, prove and release Common Crawl-derived image-text metadata.

    \b
    A first release, on generated data:
        relaion sample demo --rows 30000
        relaion release --data demo
        relaion verify --data demo
        relaion ui --data demo
    """


for command in (
    data_root.init,
    data_root.make_sample,
    data_root.release,
    data_root.status,
    data_root.key,
    data_root.ui,
    checking.verify,
    checking.audit,
    checking.explain,
    checking.forms,
    versions.releases,
    versions.diff,
    versions.rollback,
    versions.publish,
    takedowns.takedown,
    cleaning.clean,
):
    main.add_command(command)
