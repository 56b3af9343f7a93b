import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline.settings import Columns
from relaion_pipeline.shards import PRESETS, ShardError, as_parquet, parts, resolve

# Columns as the datasets have them, and the parts they should play.
SEEN = {
    "laion400m": (
        "SAMPLE_ID URL TEXT HEIGHT WIDTH LICENSE NSFW similarity",
        {"link": "URL", "text": "TEXT", "nsfw": "NSFW"},
    ),
    "laion5b": (
        "SAMPLE_ID URL TEXT HEIGHT WIDTH LICENSE LANGUAGE NSFW similarity",
        {"link": "URL", "text": "TEXT", "nsfw": "NSFW"},
    ),
    "laion5b-joined": (
        "URL TEXT WIDTH HEIGHT similarity hash punsafe pwatermark LANGUAGE",
        {"link": "URL", "text": "TEXT", "punsafe": "punsafe"},
    ),
    "relaion": (
        "url caption width height punsafe pwatermark similarity hash",
        {"link": "url", "text": "caption", "punsafe": "punsafe"},
    ),
    "img2dataset": (
        "url caption key status error_message width height original_width original_height exif md5",
        {"link": "url", "text": "caption", "md5": "md5"},
    ),
    "coyo": (
        "id url text width height image_phash text_length num_faces nsfw_score_opennsfw2 nsfw_score_gantman",
        {"link": "url", "text": "text", "punsafe": "nsfw_score_opennsfw2"},
    ),
    "datacomp": (
        "uid url text original_width original_height clip_b32_similarity_score sha256",
        {"link": "url", "text": "text", "sha256": "sha256"},
    ),
    "cc3m": ("caption url", {"link": "url", "text": "caption"}),
    "cc12m": ("url caption", {"link": "url", "text": "caption"}),
}
NUMBERS = {"punsafe", "nsfw_score_opennsfw2", "hash", "width", "height", "WIDTH", "HEIGHT", "similarity"}


def schema_of(names, **types):
    types = {name: pa.float64() for name in NUMBERS} | types
    return pa.schema([(name, types.get(name, pa.string())) for name in names.split()])


def test_every_preset_is_tried():
    assert set(SEEN) == set(PRESETS)


@pytest.mark.parametrize("preset", SEEN)
@pytest.mark.parametrize("setting", ["auto", "named"])
def test_preset_gives_parts(preset, setting):
    names, wanted = SEEN[preset]
    assert parts(resolve(preset if setting == "named" else "auto", schema_of(names))) == wanted


@pytest.mark.parametrize("preset", SEEN)
@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_case_drifts(preset, change):
    names, wanted = SEEN[preset]
    types = {change(name): pa.float64() for name in NUMBERS}
    found = parts(resolve("auto", schema_of(change(names), **types)))
    assert found == {part: change(name) for part, name in wanted.items()}


@pytest.mark.parametrize("preset", SEEN)
@pytest.mark.parametrize("ending", ["parquet", "csv", "tsv", "jsonl"])
def test_preset_in_each_format(preset, ending, shard, tmp_path):
    names, wanted = SEEN[preset]
    columns = names.split()
    row = {name: 0.25 if name in NUMBERS else f"https://e.example/{name}" for name in columns}
    if ending == "parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.table({name: [value] for name, value in row.items()}), buffer)
        content = buffer.getvalue()
    elif ending == "jsonl":
        content = json.dumps(row).encode() + b"\n"
    else:
        text = io.StringIO()
        csv.writer(text, delimiter="\t" if ending == "tsv" else ",").writerows([columns, row.values()])
        content = text.getvalue().encode()
    path = as_parquet(shard(f"a.{ending}", content), None, "auto", tmp_path / "out.parquet")
    table = pq.read_table(path)
    assert parts(resolve("auto", table.schema)) == wanted
    assert [str(value) for value in table.to_pylist()[0].values()] == [str(value) for value in row.values()]


def test_laion_hash_and_phash_are_no_image_hashes():
    for preset in ("laion5b-joined", "coyo"):
        found = parts(resolve("auto", schema_of(SEEN[preset][0])))
        assert not {"md5", "sha1", "sha256"} & set(found)


def test_joined_punsafe_comes_before_another_models_score():
    assert resolve("coyo", schema_of(SEEN["coyo"][0] + " punsafe")).punsafe == "punsafe"


@pytest.mark.parametrize(
    "names", ["image_url alt", "url caption text image_phash nsfw_score_opennsfw2", "Url uRL text"]
)
def test_unclear_columns_are_told(names):
    with pytest.raises(ShardError) as error:
        resolve("auto", schema_of(names), name="en: a.parquet")
    assert "en: a.parquet" in str(error.value)
    assert all(name in str(error.value) for name in names.split())
    assert "relaion.toml" in str(error.value)


def test_case_twins_of_an_optional_part_are_unclear():
    with pytest.raises(ShardError, match="differ only in case"):
        resolve("auto", schema_of("url text MD5 Md5"))


@pytest.mark.parametrize(
    ("setting", "names", "message"),
    [
        ("laion", "URL TEXT", "no column preset is called 'laion'"),
        ("laion5b-joined", "URL TEXT", "wants punsafe"),
        (Columns(link="u"), "URL TEXT", "no column 'u'.*`link`"),
        (Columns(link="URL", md5="m"), "URL TEXT", "no column 'm'.*`md5`"),
        (Columns(link="url"), "URL TEXT", "no column 'url'"),
        (Columns(link="URL", text="URL"), "URL TEXT", "two parts"),
        ("auto", "URL TEXT URL", "more than one column is called URL"),
    ],
)
def test_missing_columns(setting, names, message):
    with pytest.raises(ShardError, match=message):
        resolve(setting, schema_of(names))


@pytest.mark.parametrize("part", ["link", "text", "nsfw", "md5", "sha1", "sha256"])
@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.list_(pa.string()), pa.binary(16), pa.dictionary(pa.int8(), pa.int64())]
)
def test_types_that_cannot_be_screened(part, kind):
    columns = Columns(link="link", **({} if part == "link" else {part: part}))
    with pytest.raises(ShardError, match=f"`{part}` wants text"):
        resolve(columns, schema_of("link " * (part != "link") + part, **{part: kind}))


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
)
def test_workable_text_types(kind):
    assert resolve(Columns(link="link", md5="md5"), schema_of("link md5", link=kind, md5=kind)).md5 == "md5"


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        (pa.float16(), True),
        (pa.float64(), True),
        (pa.int8(), True),
        (pa.decimal128(5, 4), True),
        (pa.string(), True),
        (pa.null(), True),
        (pa.bool_(), False),
        (pa.timestamp("s"), False),
    ],
)
def test_score_types(kind, good):
    schema = schema_of("link punsafe", punsafe=kind)
    if good:
        assert resolve(Columns(link="link", punsafe="punsafe"), schema).punsafe == "punsafe"
    else:
        with pytest.raises(ShardError, match="wants numbers"):
            resolve(Columns(link="link", punsafe="punsafe"), schema)


def test_null_link_column_is_refused():
    with pytest.raises(ShardError, match="`link` wants text"):
        resolve("auto", schema_of("url caption", url=pa.null()))


def test_joined_scores_need_no_name():
    schema = schema_of("link punsafe")
    assert resolve(Columns(link="link"), schema).punsafe is None
    assert resolve(Columns(link="link"), schema, scored=True).punsafe == "punsafe"


def test_every_preset_is_documented():
    rows = (Path(__file__).resolve().parents[2] / "docs" / "shards.md").read_text().splitlines()
    for key, preset in PRESETS.items():
        row = next((r for r in rows if r.startswith(f"| `{key}` |")), None)
        assert row is not None, f"docs/shards.md has no row for {key}"
        _, _, _, told_by, link, text, _ = (cell.strip() for cell in row.split("|"))
        assert set(told_by.split(", ")) == preset.required
        assert (link, text) == (preset.link, preset.text)
