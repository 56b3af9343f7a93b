import collections
import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from relaion_pipeline import sample, settings
from relaion_pipeline_tests.sample import plain

REAL = Path(__file__).parents[3] / "shared/data/shards"


@pytest.fixture
def sources(tmp_path):
    """Small files of the real ones' shapes, with twins that differ in spelling only."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    links = [f"https://img.example/{number}.jpg" for number in range(40)]
    twins = ["http://www.twin.example/a.jpg", "https://twin.example/A.jpg?x=1", "https://TWIN.example/a.jpg", links[0]]
    lines = [f'a "quoted caption\u2028 {at}\t{link}\n' for at, link in enumerate(links + twins)]
    (folder / "cap_validation.tsv").write_text("".join(lines), encoding="utf-8")
    for language in ("ja", "ko"):
        rows = [
            {"image_url": f"https://wiki.example/{language}/{at}%20x.png", "caption_reference_description": "写真"}
            for at in range(20)
        ]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"wit_{language}.jsonl").write_text(text, encoding="utf-8")
    return sorted(folder.iterdir())


def links_of(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if path.suffix == ".tsv":
        return [line.split("\t")[1] for line in lines]
    return [json.loads(line)["image_url"] for line in lines]


def check(made: sample.SampleSummary, sources: list[Path]) -> None:
    """Truth against a plain search; scores row for row; settings that load and find the files where they lie."""
    loaded = settings.load(made.data_root)
    lists = {name: set((made.data_root / f.files).read_text("utf-8").splitlines()) for name, f in loaded.feeds.items()}
    found = set()
    for path in sources:
        subset = path.stem.partition("_")[0]
        assert path in Path("/").glob(loaded.subsets[subset].shards.removeprefix("/"))
        scores = pq.read_table(made.data_root / "raw/scores" / subset / f"{path.stem}.parquet")
        assert scores.column_names == ["punsafe"]
        assert scores.num_rows == len(links_of(path))
        for row, link in enumerate(links_of(path)):
            seen = {
                "own-links": ("link", link),
                "own-links-md5": ("link_md5", hashlib.md5(link.encode()).hexdigest()),
                "own-links-sha1": ("link_sha1", hashlib.sha1(link.encode()).hexdigest()),
            }
            found |= {(subset, path.stem, row, f, kind) for f, (kind, text) in seen.items() if text in lists[f]}
    truth = plain.truth(made.truth)
    assert len(set(truth)) == len(truth)
    assert set(truth) == found
    per_row = collections.Counter(match[:3] for match in truth)
    assert len(per_row) == made.listed
    assert max(per_row.values()) == 2
    assert not [path for path in made.data_root.rglob("*") if path.suffix in {".tsv", ".jsonl"}]


def test_small_sources(tmp_path, sources):
    made = sample.adopt(tmp_path / "data", sources=sources, listed=60, seed=1)
    assert made.rows == {"cap": 44, "wit": 40}
    assert made.listed == 60
    check(made, sources)


def test_links_with_a_twin_are_never_listed(tmp_path, sources):
    """A twin would be found as well by anyone who knows both spellings, and the answer sheet would not say so."""
    with pytest.raises(ValueError, match="listed must be 3 to 80"):
        sample.adopt(tmp_path / "data", sources=sources, listed=81, seed=1)
    made = sample.adopt(tmp_path / "data", sources=sources, listed=80, seed=1)
    rows = {match[2] for match in plain.truth(made.truth) if match[0] == "cap"}
    assert rows == {*range(1, 40), 41}


def test_same_seed_same_bytes(tmp_path, sources):
    for name in ("a", "b"):
        sample.adopt(tmp_path / name / "data", sources=sources, listed=30, seed=4)
    files = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("a", "b")
    ]
    assert files[0] == files[1]
    assert len(files[0]) == 9


def test_a_glob_that_would_catch_other_files_is_refused(tmp_path, sources):
    (sources[0].parent / "wit_zz.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="matches other files"):
        sample.adopt(tmp_path / "data", sources=sources, listed=10, seed=1)
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="the real shards are not here")
def test_real_shards(tmp_path):
    real = [REAL / "cc3m_validation.tsv", *sorted(REAL.glob("wit_test_*.jsonl"))]
    made = sample.adopt(tmp_path / "data", sources=real, listed=200, seed=1)
    assert made.listed == 200
    check(made, real)
