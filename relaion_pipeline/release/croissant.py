"""`croissant.json`: a release in the Croissant vocabulary (version 1.0), made from its manifest alone.

https://docs.mlcommons.org/croissant/docs/croissant-spec.html explains the words.
"""

import hashlib
import json
from typing import Any

from relaion_pipeline.layout import EDITIONS
from relaion_pipeline.release import manifest
from relaion_pipeline.release.manifest import MANIFEST, Column, Manifest

_PARQUET = "application/x-parquet"
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def render(described: Manifest, held: tuple[str, ...] = EDITIONS) -> str:
    """The whole file, of a copy that holds the editions `held`."""
    content: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": described.dataset,
        "alternateName": described.title,
        "description": described.description or f"{described.title}: links to images, their texts and scores.",
        "license": f"https://spdx.org/licenses/{described.licence}",
        "url": described.homepage,
        "version": _version(described.release),
        "datePublished": described.release[:10],
        "citeAs": _citation(described),
        "inLanguage": described.languages or None,
        "keywords": ["image-text", "links", *described.tags],
        "isLiveDataset": False,
        "rai:dataPreprocessingProtocol": [
            "Rows whose image hash or link is on a child-protection partner's list were removed from both editions.",
            f"research lacks rows with a score above {described.nsfw.research_above} and a keyword in the text.",
            f"research-safe also lacks rows with a score above {described.nsfw.research_safe_above} or without one.",
        ],
        "rai:personalSensitiveInformation": ["Links and texts are those of public web pages and may name people."],
        "distribution": [*_files(described, held), *_file_sets(described, held)],
        "recordSet": _record_sets(described, held),
    }
    return json.dumps({key: each for key, each in content.items() if each is not None}, indent=1) + "\n"


def _version(release: str) -> str:
    """2026-01-02.003 as semantic versioning has it: 2026.1.2+003."""
    day, _, number = release.partition(".")
    return ".".join(str(int(part)) for part in day.split("-")) + f"+{number}"


def _citation(described: Manifest) -> str:
    where = f", url={{{described.homepage}}}" if described.homepage else ""
    return (
        f"@misc{{{described.dataset}, title={{{described.title}}}, year={{{described.release[:4]}}}, "
        f"version={{{described.release}}}{where}}}"
    )


def _files(described: Manifest, held: tuple[str, ...]) -> list[dict[str, Any]]:
    whole = manifest.text(described).encode()
    own = {
        "@type": "cr:FileObject",
        "@id": MANIFEST,
        "name": MANIFEST,
        "description": "Every count and digest of the release.",
        "contentUrl": MANIFEST,
        "contentSize": f"{len(whole)} B",
        "encodingFormat": "application/json",
        "sha256": hashlib.sha256(whole).hexdigest(),
    }
    return [
        own,
        *(
            {
                "@type": "cr:FileObject",
                "@id": file.path,
                "name": file.path,
                "contentUrl": file.path,
                "contentSize": f"{file.bytes} B",
                "encodingFormat": _PARQUET,
                "sha256": file.sha256,
            }
            for file in described.files
            if file.edition in held
        ),
    ]


def _parts(described: Manifest, held: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Name, edition and subset of what can be loaded by itself."""
    return [
        (f"{edition}.{subset}", edition, subset)
        for edition in EDITIONS
        if edition in held
        for subset in described.subsets
    ]


def _file_sets(described: Manifest, held: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileSet",
            "@id": f"files.{name}",
            "name": f"files.{name}",
            "description": f"Files of {edition}, subset {subset}.",
            "encodingFormat": _PARQUET,
            "includes": f"{edition}/{subset}/*.parquet",
        }
        for name, edition, subset in _parts(described, held)
    ]


def _record_sets(described: Manifest, held: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "description": f"{described.subsets[subset].kept[edition]} rows of {edition}, subset {subset}.",
            "field": [
                {
                    "@type": "cr:Field",
                    "@id": f"{name}/{column.name}",
                    "name": f"{name}/{column.name}",
                    "dataType": kind,
                    "source": {"fileSet": {"@id": f"files.{name}"}, "extract": {"column": column.name}},
                }
                for column in described.columns[subset]
                if (kind := _data_type(column)) is not None
            ],
        }
        for name, edition, subset in _parts(described, held)
    ]


def _data_type(column: Column) -> str | None:
    """What Croissant calls an Arrow type, or None where 1.0 has no word for it."""
    kind = column.type.partition("[")[0]
    if kind in {"string", "large_string", "string_view"}:
        return "sc:Text"
    if kind.removeprefix("u") in {"int8", "int16", "int32", "int64"}:
        return "sc:Integer"
    if kind in {"halffloat", "float", "double"}:
        return "sc:Float"
    return {"bool": "sc:Boolean", "date32": "sc:Date", "date64": "sc:Date", "timestamp": "sc:DateTime"}.get(kind)
