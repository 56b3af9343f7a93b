"""Screening a small data root without orchestration: settings, feeds and shards in, findings out."""

import json
from pathlib import Path
from typing import Any

from relaion_pipeline import settings
from relaion_pipeline.feeds import blocklist
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.screening import findings
from relaion_pipeline.screening.screen import Screener
from relaion_pipeline.screening.verdicts import BIT, Reason


def settings_text(subsets: dict[str, dict[str, Any]], feeds: dict[str, dict[str, Any]], more: str = "") -> str:
    """`relaion.toml` with these subsets and feeds; JSON's spelling of strings, numbers and booleans is TOML's."""
    lines = ['[dataset]\nname = "test"']
    for section, tables in (("subsets", subsets), ("feeds", feeds)):
        for name, table in tables.items():
            lines.append(f"[{section}.{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n" + more


def screener_of(root: Path) -> tuple[Screener, Inputs]:
    """Compile the feeds of a data root that holds `relaion.toml`."""
    if not (root / "keywords.txt").exists():
        (root / "keywords.txt").write_text("nsfw\n", encoding="utf-8")
    inputs = Inputs(DataRoot.at(root), settings.load(root))
    feeds = [inputs.compile_feed(name) for name in inputs.settings.feeds]
    built = blocklist.build(feeds, inputs.settings, inputs.root)
    return Screener(inputs.root, inputs.settings, built, inputs.keywords), inputs


def reasons_by_row(root: Path) -> dict[tuple[str, str, int], set[Reason]]:
    """Screen a data root: (subset, stem, row) to reasons, for each row of which something is found."""
    screener, inputs = screener_of(root)
    screener.screen(inputs.shards)
    found = {}
    for shard in inputs.shards:
        for each in findings.read(inputs.root, shard.subset, shard.stem).to_pylist():
            reasons = {reason for reason in Reason if each["bits"] & BIT[reason]}
            found[shard.subset, shard.stem, each["row"]] = reasons
    return found
