import collections
import hashlib
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import mmh3
import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import links, sample, settings
from relaion_pipeline.sample import generation, lists, plan, rows
from relaion_pipeline_tests.sample import plain

SUBSETS = ("2B-en", "2B-multi", "1B-nolang")


def folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def run_elsewhere(folder: Path, **environment: str) -> str:
    code = f"""
from pathlib import Path
from relaion_pipeline import sample
sample.generate(Path({str(folder / "sample")!r}), rows=12_000, seed=5, respelled=0.5)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})
    return folder_digest(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return sample.generate(tmp_path_factory.mktemp("small") / "data", rows=20_000, seed=3)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return sample.generate(tmp_path_factory.mktemp("demo") / "data", rows=300_000, seed=1)


def test_same_seed_same_bytes_whatever_the_machine_is_set_to(tmp_path):
    first = run_elsewhere(tmp_path / "a", TZ="UTC", PYTHONHASHSEED="1", LC_ALL="C", OMP_NUM_THREADS="1")
    second = run_elsewhere(tmp_path / "b", TZ="Asia/Tokyo", PYTHONHASHSEED="2", LC_ALL="C.UTF-8", OMP_NUM_THREADS="2")
    assert first == second


def test_another_seed_gives_another_sample(tmp_path):
    digests = set()
    for seed in (1, 2):
        sample.generate(tmp_path / str(seed) / "data", rows=2_000, seed=seed)
        digests.add(folder_digest(tmp_path / str(seed)))
    assert len(digests) == 2


def test_truth_is_exactly_what_plain_python_finds(small):
    listed = plain.truth(small.truth)
    assert len(set(listed)) == len(listed)
    assert set(listed) == plain.matches(small.data_root)
    assert len({match[:3] for match in listed}) == small.listed == 66
    counts = collections.Counter((feed, subset) for subset, _, _, feed, _ in listed)
    assert {(f, s): n for f, by in small.matches.items() for s, n in by.items() if n} == dict(counts)


def test_truth_is_exact_where_batches_meet(tmp_path, monkeypatch):
    monkeypatch.setattr(generation, "BATCH_ROWS", 3)
    made = sample.generate(tmp_path / "data", rows=1_000, seed=3, planted=120)
    assert set(plain.truth(made.truth)) == plain.matches(made.data_root)


def test_places_of_a_sample_draw_different_numbers():
    """SeedSequence([7]) equals SeedSequence([7, 0, 0]): the first shard's images once stood in the lists."""
    places = [(0,), *((1, at, number) for at in range(3) for number in range(3))]
    assert len({generation.stream(7, *place).bytes(8) for place in places}) == len(places)


def test_listed_rows_keep_their_link_and_image_among_repeats_and_popular_links():
    random = np.random.default_rng(1)
    maker = rows.make_row_makers(random, ["2B-en"], marks=False)["2B-en"]
    tokens = plan.make_tokens(random, 20_000, marks=False)
    listed = {at: plan.Planted("2B-en", 0, at, (0,), tokens[at], random.bytes(16)) for at in range(20_000)}
    table, found = maker.batch(random, 20_000, listed)
    assert table["URL"].to_pylist() == found
    assert all(token in link for token, link in zip(tokens, found, strict=True))
    assert table["md5"].to_pylist() == [each.md5.hex() for each in listed.values()]


def test_listed_rows_lie_within_their_shards_and_apart():
    for seed in range(60):
        made = plan.make_plan(
            np.random.default_rng(seed), rows=1_000, shards=None, hashes=None, planted=125, marks=False
        )
        places = {(each.subset, each.shard, each.row) for each in made.planted}
        assert len(places) == 125
        assert all(0 <= row < made.shards[subset][shard] for subset, shard, row in places)


def test_truth_lies_beside_the_data_root(small):
    assert small.truth == sample.truth_path(small.data_root) == small.data_root.with_name("data.truth.parquet")
    assert not list(small.data_root.rglob("*truth*"))
    assert {p.name for p in small.data_root.iterdir()} == {"relaion.toml", "keywords.txt", "raw", "feeds"}


def test_no_other_row_is_a_listed_link_in_another_spelling(small):
    """Duplicates of a listed row would have to be found too, and the answer sheet would not say so."""
    listed = {match[:3] for match in plain.truth(small.truth)}

    def loose(link):
        return re.sub(r"^\w+://(www\.)?|&amp;|&|[/:#].*(?=zqx7)", "", link.lower())

    others, mine = set(), []
    for subset, shard, table in plain.shards(small.data_root):
        for number, row in enumerate(table):
            if (subset, shard, number) in listed:
                mine.append((loose(row["URL"]), row["md5"]))
            elif row["URL"] is not None:
                others |= {loose(row["URL"]), row["md5"]}
    assert len({link for link, _ in mine}) == len(mine)
    assert not {value for pair in mine for value in pair if value} & (others - {None})


def test_respelled_lists_name_the_same_rows_in_other_words(tmp_path):
    made = sample.generate(tmp_path / "data", rows=20_000, seed=3, respelled=0.5)
    exact = plain.matches(made.data_root)
    truth = set(plain.truth(made.truth))
    assert exact < truth
    by_link = {match for match in truth if match[4] != "image_md5"}
    assert truth - exact < by_link
    assert 0.25 < len(truth - exact) / len(by_link) < 0.75


def test_every_respelling_is_one_that_screening_is_meant_to_know(small):
    random = np.random.default_rng(0)
    listed = {match[:3] for match in plain.truth(small.truth)}
    for subset, shard, table in plain.shards(small.data_root):
        for number, row in enumerate(table):
            if (subset, shard, number) in listed:
                for _ in range(8):
                    respelled = lists.respell(random, row["URL"], hashed=False)
                    assert links.match_key(respelled) == links.match_key(row["URL"])
                    assert lists.respell(random, row["URL"], hashed=True) in links.forms(row["URL"]).values()


def test_no_two_rows_share_a_listed_link_by_its_match_key(small):
    listed = {match[:3] for match in plain.truth(small.truth)}
    keys = collections.Counter()
    mine = []
    for subset, shard, table in plain.shards(small.data_root):
        for number, row in enumerate(table):
            key = links.match_key(row["URL"]) if row["URL"] is not None else None
            keys[key] += 1
            if (subset, shard, number) in listed:
                mine.append(key)
    assert len(mine) == small.listed
    assert all(keys[key] == 1 for key in mine)


def test_planted_counts_at_demo_size_keep_the_proportions_of_the_note(demo):
    assert demo.matches == {
        "iwf-images": {"2B-en": 4, "2B-multi": 1, "1B-nolang": 2},
        "iwf-links": {"2B-en": 1, "2B-multi": 0, "1B-nolang": 0},
        "c3p-images": {"2B-en": 205, "2B-multi": 174, "1B-nolang": 125},
        "stanford-links": {"2B-en": 353, "2B-multi": 217, "1B-nolang": 196},
        "hrw-links": {"2B-en": 30, "2B-multi": 19, "1B-nolang": 5},
    }
    assert demo.listed == 1_000 < sum(n for by in demo.matches.values() for n in by.values())


def test_removed_shares_are_those_of_the_note(demo):
    keyword = plain.keyword_pattern(demo.data_root / "keywords.txt")
    research = safe = total = elsewhere = 0
    for _, _, table in plain.shards(demo.data_root):
        for row in table:
            score = row["punsafe"]
            total += 1
            safe += score is None or score > 0.45
            hit = bool(keyword.search(plain.fold(row["TEXT"] or "")))
            research += hit and score is not None and score > 0.95
            elsewhere += hit and (score is None or score <= 0.95)
    assert total == 300_000 == sum(demo.rows.values())
    assert research / total == pytest.approx(0.01121, abs=0.0008)
    assert elsewhere / total == pytest.approx(0.004, abs=0.0006)
    assert safe / total == pytest.approx(0.03044, abs=0.0012)


def test_rows_have_the_shape_of_the_joined_dataset(demo):
    proportions = [demo.rows[subset] / 300_000 for subset in SUBSETS]
    assert proportions == pytest.approx([2.32 / 5.85, 2.26 / 5.85, 1.27 / 5.85], abs=0.001)
    table = ds.dataset(demo.data_root / "raw/2B-multi").to_table()
    assert table.column_names == [
        *("URL", "TEXT", "WIDTH", "HEIGHT", "similarity", "LANGUAGE", "hash", "punsafe", "pwatermark", "md5")
    ]
    table = ds.dataset(demo.data_root / "raw/2B-en").to_table()
    assert "LANGUAGE" not in table.column_names
    urls, texts = (table[name].drop_null().to_pylist() for name in ("URL", "TEXT"))
    assert 75 < sum(map(len, urls)) / len(urls) < 95
    assert 55 < sum(map(len, texts)) / len(texts) < 85
    assert 0 < table["URL"].null_count < 200
    assert 0 < table["TEXT"].null_count < 300
    assert 0 < table["punsafe"].null_count < 600
    repeats = collections.Counter(urls)
    assert any(count > 1 for count in repeats.values())
    assert not any("zqx7" in text for text in texts)
    assert any("boudoirstyle" in text for text in texts)  # not a keyword: it only holds one
    for feature in ("&amp;", " ", "ã", ":8080/", "://192.0.2.", "xn--", "HTTPS://", "#", "://münzhändler.example"):
        assert any(feature in url for url in urls), feature
    assert any(re.match(r"https?://[A-Z.]+/", url) for url in urls)


def test_every_host_is_reserved_for_examples(small):
    reserved = re.compile(
        r"(\.(example|test|invalid)|\.example\.(com|net|org)|//(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+)(:\d+)?$"
    )
    urls = [row["URL"] for _, _, table in plain.shards(small.data_root) for row in table if row["URL"]]
    urls += (small.data_root / "feeds/hrw/links.txt").read_text(encoding="utf-8").splitlines()
    assert not [url for url in urls if not reserved.search(re.match(r"\w+://[^/]*", url.lower())[0])]


def test_row_key_is_mmh3_of_link_and_text(small):
    for _, _, table in plain.shards(small.data_root):
        for row in table:
            assert row["hash"] == mmh3.hash64((row["URL"] or "") + (row["TEXT"] or ""))[0]


def test_c3p_sends_upper_case_hex(small):
    lines = (small.data_root / "feeds/c3p/images.csv").read_text("ascii").splitlines()
    assert lines[0] == "md5,added"
    assert all(re.fullmatch(r"[0-9A-F]{32},\d{4}-\d{2}-15", line) for line in lines[1:])


def test_settings_load_and_lists_are_private(small):
    loaded = settings.load(small.data_root)
    assert tuple(loaded.subsets) == SUBSETS
    assert set(loaded.feeds) == set(small.entries)
    for name, feed in loaded.feeds.items():
        (path,) = small.data_root.glob(feed.files)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) - (feed.format == "csv") == small.entries[name] >= feed.min_entries


def test_marks_stand_in_listed_rows_and_nowhere_else(tmp_path):
    made = sample.generate(tmp_path / "data", rows=6_000, seed=2, marks=True)
    listed = {match[:3] for match in plain.truth(made.truth)}
    marked = set()
    for subset, shard, table in plain.shards(made.data_root):
        for number, row in enumerate(table):
            found = [re.findall("zqx7canary[0-9a-f]{8}", row[name] or "") for name in ("URL", "TEXT")]
            assert found[0] == found[1]
            if found[0]:
                marked.add((subset, shard, number))
    assert marked == listed
    lines = (made.data_root / "feeds/hrw/links.txt").read_text(encoding="utf-8").splitlines()
    assert all("zqx7canary" in line for line in lines)


@pytest.mark.parametrize("union", [40, 41, 60, 66, 100, 333, 1_000, 2_236])
def test_every_listed_row_has_a_feed_and_every_feed_its_rows(union):
    full = [sum(column) for column in zip(*(feed.matched for feed in plan.FEEDS), strict=True)]
    full_unions = plan.apportion(plan.FULL_UNION, full)
    for subset, count in enumerate(plan.apportion(union, full_unions)):
        slots = plan.slots(subset, count, full_unions[subset])
        assert len(slots) == count
        assert all(slots)
        assert all(len(set(feeds)) == len(feeds) for feeds in slots)
        assert max(map(len, slots)) > 1
        for at, feed in enumerate(plan.FEEDS):
            got = sum(at in feeds for feeds in slots)
            assert (got > 0) == (feed.matched[subset] > 0)
            assert got == pytest.approx(feed.matched[subset] * union / plan.FULL_UNION, abs=1.5)


def test_full_union_gives_the_note_s_own_table():
    full = [sum(column) for column in zip(*(feed.matched for feed in plan.FEEDS), strict=True)]
    full_unions = plan.apportion(plan.FULL_UNION, full)
    assert sum(full_unions) == 2_236
    for subset, union in enumerate(full_unions):
        slots = plan.slots(subset, union, union)
        assert [sum(at in feeds for feeds in slots) for at in range(5)] == [f.matched[subset] for f in plan.FEEDS]
        for feed in (at for at, each in enumerate(plan.FEEDS) if each.matched[subset] > 1):
            assert {len(feeds) > 1 for feeds in slots if feed in feeds} == {True, False}  # some alone, some shared


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"rows": 10}, "rows"), ({"planted": 3}, "planted"), ({"shards": 0}, "shards"), ({"hashes": -1}, "hashes")],
)
def test_numbers_out_of_range_are_named_and_nothing_is_written(tmp_path, wrong, named):
    with pytest.raises(ValueError, match=f"^{named} must"):
        sample.generate(tmp_path / "data", **{"rows": 5_000, "seed": 1, **wrong})
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="not empty"):
        sample.generate(tmp_path / "data", rows=2_000, seed=1)
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["mine.txt"]


def test_progress_adds_up_and_counts_of_shards_and_hashes_are_kept(tmp_path):
    seen: list[int] = []
    made = sample.generate(
        tmp_path / "data", rows=9_000, seed=1, shards=2, hashes=50_000, planted=0, progress=seen.append
    )
    assert sum(seen) == 9_000
    assert made.shards == 6
    assert made.entries["iwf-images"] + made.entries["iwf-links"] + made.entries["c3p-images"] == 50_000
    assert made.listed == 0
    assert plain.truth(made.truth) == []
    assert plain.matches(made.data_root) == set()


def test_schema_written_is_the_schema_declared(small):
    for path in (small.data_root / "raw").glob("*/*.parquet"):
        assert pq.read_schema(path).equals(rows.schema(path.parent.name))


@pytest.mark.slow
def test_ten_million_rows_and_the_full_lists_in_bounded_memory(tmp_path):
    """Memory must not grow with rows or lists: both are streamed."""
    code = f"""
from pathlib import Path
from relaion_pipeline import sample
made = sample.generate(Path({str(tmp_path / "data")!r}), rows=10_000_000, seed=1, hashes=16_200_000)
assert made.listed == 2_236
# Not ru_maxrss: that starts from the size of the process that started this one.
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[1]) < 1 << 20  # KiB
