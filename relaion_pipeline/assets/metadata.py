"""What assets show in the Dagster UI: schemas, and tables for people.

What belongs here: rendering numbers that are public. What does not: anything about one shard's listed rows.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping

import dagster as dg
import pyarrow as pa

from relaion_pipeline.layout import EDITIONS
from relaion_pipeline.release.manifest import Manifest
from relaion_pipeline.screening.verdicts import Counts, Reason


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """An Arrow schema as the UI shows it."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name, type=str(field.type), constraints=dg.TableColumnConstraints(nullable=field.nullable)
            )
            for field in schema
        ]
    )


def column_lineage(names: Iterable[str], sources: Iterable[dg.AssetKey]) -> dg.TableColumnLineage:
    """Columns of these names, each of which is the column of that name in `sources`, values unchanged."""
    keys = list(sources)
    return dg.TableColumnLineage({name: [dg.TableColumnDep(key, name) for key in keys] for name in names})


def released_columns(
    described: Manifest, sources: Mapping[str, Iterable[dg.AssetKey]]
) -> tuple[dg.TableSchema, dg.TableColumnLineage]:
    """Schema of a release over all subsets, and where each column is from: `sources` are the assets of each subset."""
    columns: dict[str, dg.TableColumn] = {}
    lineage: dict[str, list[dg.TableColumnDep]] = {}
    for subset, found in described.columns.items():
        for column in found:
            columns.setdefault(column.name, dg.TableColumn(column.name, type=column.type))
            lineage.setdefault(column.name, []).extend(dg.TableColumnDep(key, column.name) for key in sources[subset])
    return dg.TableSchema(list(columns.values())), dg.TableColumnLineage(lineage)


def removals_table(counts: dict[str, Counts]) -> str:
    """Markdown: rows in, removed by reason and by feed, kept, for each subset and in all. Feeds overlap."""
    total = sum(counts.values(), Counts())
    columns = [*counts.items(), ("all", total)]
    lines = [
        f"| | {' | '.join(name for name, _ in columns)} |",
        f"|---|{'---:|' * len(columns)}",
        _line("rows in", [each.rows for _, each in columns]),
    ]
    lines += [
        _line(f"removed: {reason.replace('_', ' ')}", [each.removed.get(reason, 0) for _, each in columns])
        for reason in Reason
        if total.removed.get(reason)
    ]
    lines += [
        _line(f"listed by {feed}", [each.listed_by_feed.get(feed, 0) for _, each in columns])
        for feed in sorted(total.listed_by_feed)
    ]
    lines.append(_line("listed by any", [each.listed for _, each in columns]))
    lines.append(_line("not screened by image", [each.not_screened_by_image for _, each in columns]))
    lines += [_line(f"kept in {edition}", [each.kept.get(edition, 0) for _, each in columns]) for edition in EDITIONS]
    return "\n".join(lines)


def pictures(described: Manifest) -> dict[str, dg.MarkdownMetadataValue]:
    """The plots of the release report, as images within the metadata."""
    from relaion_pipeline.release import plots  # noqa: PLC0415  (imports matplotlib)

    return {
        f"plot: {name}": dg.MetadataValue.md(f"![{title}](data:image/png;base64,{b64encode(png).decode()})")
        for name, (title, png) in plots.pngs(described).items()
    }


def _line(name: str, numbers: list[int]) -> str:
    return f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |"
