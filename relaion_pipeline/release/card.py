"""`README.md` of a release: the dataset card that Hugging Face shows and `datasets` reads, from the manifest alone.

What goes to a place that holds some editions only has a card of these.

https://huggingface.co/docs/hub/datasets-cards explains the front matter.
"""

from typing import Any

import yaml

from relaion_pipeline.layout import EDITIONS, RESEARCH, RESEARCH_SAFE
from relaion_pipeline.release import report
from relaion_pipeline.release.manifest import Column, Manifest

SPLIT = "train"  # the name that tools expect of the one split there is

_DTYPES = {"float": "float32", "double": "float64", "halffloat": "float16", "string_view": "string"}
_PLAIN_DTYPES = {
    "bool", "binary", "large_binary", "string", "large_string", "date32", "date64",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}  # fmt: skip


def render(described: Manifest, held: tuple[str, ...] = EDITIONS) -> str:
    """The whole file, of a copy that holds the editions `held`."""
    front = yaml.safe_dump(_front_matter(described, held), sort_keys=False, allow_unicode=True, width=10_000)
    environment = report.environment()
    environment.filters |= {"cell": _cell}
    body = environment.get_template("card.md.j2").render(
        m=described,
        editions=EDITIONS,
        held=[edition for edition in EDITIONS if edition in held],
        default=_default(held),
        files=[file for file in described.files if file.edition in held],
        columns=[("all", described.total), *described.subsets.items()],
        reasons=report.reasons(described),
        names=configs(described, held),
    )
    lines = "".join(f"{line.rstrip()}\n" for line in body.splitlines())
    return f"---\n{front}---\n{lines}"


def configs(described: Manifest, held: tuple[str, ...] = EDITIONS) -> dict[str, tuple[str, list[str]]]:
    """Name of what `load_dataset` can load -> edition and subsets. A subset's name holds no dot."""
    editions = [edition for edition in (RESEARCH_SAFE, RESEARCH) if edition in held]
    whole = {edition: (edition, list(described.subsets)) for edition in editions}
    return whole | {
        f"{edition}.{subset}": (edition, [subset]) for edition in whole for subset in described.subsets
    }  # fmt: skip


def _default(held: tuple[str, ...]) -> str:
    return RESEARCH_SAFE if RESEARCH_SAFE in held else RESEARCH


def _front_matter(described: Manifest, held: tuple[str, ...]) -> dict[str, Any]:
    gate = {}
    if described.gate is not None:
        gate = {
            "extra_gated_heading": f"Access to {described.title}",
            "extra_gated_prompt": described.gate.prompt,
            "extra_gated_fields": dict(described.gate.fields),
        }
    return {
        "pretty_name": described.title,
        "license": described.licence.lower(),
        **({"language": list(described.languages)} if described.languages else {}),
        "size_categories": [size_category(described.total.kept[_default(held)])],
        "tags": ["image-text", "croissant", *described.tags],
        **gate,
        "configs": [
            {
                "config_name": name,
                **({"default": True} if name == _default(held) else {}),
                "data_files": [
                    {"split": SPLIT, "path": [f"{edition}/{subset}/*.parquet" for subset in subsets]},
                ],
            }
            for name, (edition, subsets) in configs(described, held).items()
        ],
        "dataset_info": [
            _info(described, name, edition, subsets) for name, (edition, subsets) in configs(described, held).items()
        ],
    }


def _info(described: Manifest, name: str, edition: str, subsets: list[str]) -> dict[str, Any]:
    features = _features([column for subset in subsets for column in described.columns[subset]])
    files = [file for file in described.files if file.edition == edition and file.subset in subsets]
    size = sum(file.uncompressed_bytes for file in files)
    return {
        "config_name": name,
        **({"features": features} if features is not None else {}),
        "splits": [{"name": SPLIT, "num_bytes": size, "num_examples": sum(file.rows for file in files)}],
        "download_size": sum(file.bytes for file in files),
        "dataset_size": size,
    }


def _features(columns: list[Column]) -> list[dict[str, str]] | None:
    """Columns as `datasets` names them, each once; None where it is to find out by itself."""
    found: dict[str, str] = {}
    for column in columns:
        dtype = _dtype(column.type)
        if dtype is None or found.setdefault(column.name, dtype) != dtype:
            return None
    return [{"name": name, "dtype": dtype} for name, dtype in found.items()]


def _dtype(kind: str) -> str | None:
    name = _DTYPES.get(kind, kind.removesuffix("[day]").removesuffix("[ms]") if kind.startswith("date") else kind)
    return name if name in _PLAIN_DTYPES or name in _DTYPES.values() or name.startswith("timestamp[") else None


def size_category(rows: int) -> str:
    """Hugging Face's class of sizes."""
    bounds = ["1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T"]
    for place, bound in enumerate(bounds):
        if rows < 10 ** (place + 3):
            return f"n<{bound}" if place == 0 else f"{bounds[place - 1]}<n<{bound}"
    return f"n>{bounds[-1]}"


def _cell(value: object) -> str:
    """Text in a cell of a Markdown table, or in a line: neither ends it nor marks anything up."""
    text = " ".join(str(value).split())
    return "".join(f"\\{each}" if each in "\\|`*_[]<>#" else each for each in text)
