from collections import Counter
from pathlib import Path

import pytest

from relaion_pipeline.settings import Subset
from relaion_pipeline.shards import Format, Shard, ShardError, find, slices


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return root


def named(*stems: str) -> list[Shard]:
    return [Shard("en", stem, Path(f"{stem}.parquet")) for stem in stems]


def test_every_format_is_recognised(tmp_path):
    endings = {
        "parquet": Format.PARQUET,
        "csv": Format.CSV,
        "tsv.gz": Format.TSV,
        "jsonl": Format.JSONL,
        "ndjson.zst": Format.JSONL,
        "json": Format.JSONL,
        "TSV": Format.TSV,
    }
    touch(tmp_path, *(f"raw/s{n}.c000.{ending}" for n, ending in enumerate(endings)))
    found = find("en", Subset(shards="raw/*"), tmp_path)
    assert [(s.stem, s.format) for s in found] == [(f"s{n}.c000", kind) for n, kind in enumerate(endings.values())]
    assert {s.subset for s in found} == {"en"}


def test_hidden_files_and_plain_folders_are_passed_over(tmp_path):
    touch(tmp_path, "raw/b.csv", "raw/sub/a.csv", "raw/.a.csv.tmp")
    assert [s.stem for s in find("en", Subset(shards="raw/**"), tmp_path)] == ["a", "b"]


def test_glob_may_leave_the_data_root(tmp_path):
    touch(tmp_path, "elsewhere/a.csv")
    (tmp_path / "root").mkdir()
    assert find("en", Subset(shards="../elsewhere/*"), tmp_path / "root")[0].path.samefile(tmp_path / "elsewhere/a.csv")
    assert find("en", Subset(shards=f"{tmp_path}/elsewhere/*"), tmp_path / "root")[0].stem == "a"


@pytest.mark.parametrize(
    ("names", "glob", "message"),
    [
        ([], "raw/*", "no file matches"),
        (["raw/_SUCCESS"], "raw/*", "not a shard's name"),
        (["raw/a.parquet.gz"], "raw/*", "not a shard's name"),
        (["raw/a.csv", "raw/a.tsv"], "raw/*", "both be called 'a'"),
        (["raw/1/a.csv", "raw/2/a.csv"], "raw/*/*", "both be called 'a'"),
        (["raw/a.parquet/part-0.parquet"], "raw/*", "is a folder"),
    ],
)
def test_wrong_names(tmp_path, names, glob, message):
    with pytest.raises(ShardError, match=message):
        find("en", Subset(shards=glob), touch(tmp_path, *names))


def test_broken_link_is_told(tmp_path):
    touch(tmp_path, "raw/a.csv")
    (tmp_path / "raw/b.csv").symlink_to("nowhere")
    with pytest.raises(ShardError, match=r"b\.csv is not a file"):
        find("en", Subset(shards="raw/*"), tmp_path)


def test_scores_pair_by_stem(tmp_path):
    touch(tmp_path, "raw/a.tsv.gz", "raw/b.jsonl", "scores/a.parquet", "scores/b.parquet")
    found = find("en", Subset(shards="raw/*", scores="scores/*"), tmp_path)
    assert [(s.stem, s.scores.name) for s in found] == [("a", "a.parquet"), ("b", "b.parquet")]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (["a.parquet"], "no file called 'b.parquet'"),
        (["a.parquet", "b.parquet", "c.parquet"], "no shard called 'c'"),
        (["a.parquet", "b.csv"], "not Parquet"),
    ],
)
def test_unpaired_scores(tmp_path, scores, message):
    touch(tmp_path, "raw/a.tsv", "raw/b.tsv", *(f"scores/{name}" for name in scores))
    with pytest.raises(ShardError, match=message):
        find("en", Subset(shards="raw/*", scores="scores/*"), tmp_path)


@pytest.mark.parametrize(
    "pattern",
    ["part-{:05d}-5114fd87-297e-42b0-9d11-50f1df323dfa-c000.snappy", "train-{:05d}-of-00128", "{}0000", "shard{}"],
)
@pytest.mark.parametrize("count", [3, 24, 32, 64])
def test_numbered_shards_fill_slices_evenly(pattern, count):
    sizes = [len(cut) for cut in slices(named(*(pattern.format(n) for n in range(128))), count)]
    assert len(sizes) == count
    assert sum(sizes) == 128
    assert max(sizes) <= 128 / count + 2
    assert min(sizes) >= 128 / count - 2


def test_a_new_shard_moves_no_other():
    stems = [f"part-{n:05d}" for n in range(20)] + ["extra", "more", "x"]
    whole = slices(named(*stems), 5)
    for left_out in stems:
        fewer = slices(named(*(s for s in stems if s != left_out)), 5)
        assert fewer == [[s for s in cut if s.stem != left_out] for cut in whole]


def test_slices_are_pinned():
    """A change here moves shards between slices of existing datasets, and all their work is done anew."""
    shards = named("part-00000", "part-00001", "part-00002", "extra", "metadata_0007")
    places = {s.stem: n for n, cut in enumerate(slices(reversed(shards), 8)) for s in cut}
    assert places == {"part-00000": 0, "part-00001": 4, "part-00002": 1, "extra": 6, "metadata_0007": 2}


def test_names_without_numbers_are_spread():
    sizes = Counter(
        n for n, cut in enumerate(slices(named(*(f"x{a}{b}z" for a in "abcdefgh" for b in "ijklmnop")), 4)) for _ in cut
    )
    assert len(sizes) == 4
