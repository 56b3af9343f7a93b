"""Bad input: each a clear error that names file and line and not the entry; the last release stays as it was."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import sample
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.end_to_end import shared

SECRET = "zqx7secret"
"""Stands in every wrong entry, and must stand in no error."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> DataRoot:
    made = sample.generate(tmp_path_factory.mktemp("bad") / "data", rows=3_000, seed=8, shards=1)
    assert shared.release(made.data_root).exit_code == 0
    return DataRoot.at(made.data_root)


@contextlib.contextmanager
def instead(path: Path, content: bytes | None) -> Iterator[None]:
    """Have other bytes, or no file, at `path` for a while."""
    whole, times = path.read_bytes(), path.stat()
    path.unlink()
    try:
        if content is not None:
            path.write_bytes(content)
        yield
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def assert_refused(root: DataRoot, *named: str) -> None:
    before = shared.tree_digest(root.releases)
    outcome = shared.release(root.path)
    assert outcome.exit_code == 1, outcome.output
    for each in named:
        assert each in outcome.output
    assert SECRET not in outcome.output
    assert "unexpected" not in outcome.output
    assert "Traceback" not in outcome.output
    assert shared.tree_digest(root.releases) == before


def assert_mended(root: DataRoot) -> None:
    """Something harmless changes, so that there is something to release, and the release is made."""
    last = shared.current(root.path)
    shared.edit_settings(root.path, 'title = "', 'title = "again ')
    outcome = shared.release(root.path)
    assert outcome.exit_code == 0, outcome.output
    assert shared.current(root.path) > last


def shard(root: DataRoot, subset: str = "2B-en") -> Path:
    return min((root.path / "raw" / subset).glob("*.parquet"))


@pytest.mark.parametrize("left", [pytest.param(0.0, marks=pytest.mark.slow), 0.5, 0.98])
def test_a_truncated_shard(root, left):
    path = shard(root)
    content = path.read_bytes()
    with instead(path, content[: int(len(content) * left)]):
        assert_refused(root, path.name, "2B-en")


def test_a_shard_whose_pages_are_broken(root):
    """The footer is whole: only reading the rows shows it."""
    path = shard(root)
    content = bytearray(path.read_bytes())
    content[100:4_000] = b"\x55" * 3_900
    with instead(path, bytes(content)):
        assert_refused(root, "2B-en")


def test_a_failed_shard_leaves_other_subsets_done(root):
    path, other = shard(root), root.findings("2B-multi", shard(root, "2B-multi").stem)
    keywords = root.path / "keywords.txt"
    content = path.read_bytes()
    before = other.stat().st_mtime_ns
    with instead(keywords, keywords.read_bytes() + b"newword\n"), instead(path, content[: len(content) // 2]):
        assert_refused(root, path.name)
        assert other.stat().st_mtime_ns > before, "the other subsets' slices do not wait for the broken one"
    assert_mended(root)


@pytest.mark.parametrize("column", ["URL", pytest.param("punsafe", marks=pytest.mark.slow)])
def test_a_missing_column(root, column):
    path = shard(root)
    table = pq.read_table(path).drop_columns([column])
    with instead(path, None):
        pq.write_table(table, path)
        assert_refused(root, path.name, "2B-en")
    assert_mended(root)


def test_a_missing_shard_file(root):
    with instead(shard(root), None):
        assert_refused(root, "subsets.2B-en.shards")


@pytest.mark.slow
def test_no_column_for_a_hash_and_its_waiver(root):
    """A feed that a subset cannot answer stops the release; waived by name, its rows count as not screened."""
    path = shard(root)
    table = pq.read_table(path).drop_columns(["md5"])
    settings = root.path / "relaion.toml"
    with instead(path, None):
        pq.write_table(table, path)
        assert_refused(root, "unanswerable-feed", "2B-en")
        waivers = "".join(
            f'\n[[waivers]]\nkind = "unanswerable-feed"\nfeed = "{feed}"\nsubset = "2B-en"\nreason = "r"\nby = "b"\n'
            for feed in ("iwf-images", "c3p-images")
        )
        with instead(settings, settings.read_bytes() + waivers.encode()):
            outcome = shared.release(root.path)
            assert outcome.exit_code == 0, outcome.output
            described = shared.manifest(root.path)
            assert described["subsets"]["2B-en"]["not_screened_by_image"] == len(table)
            assert described["subsets"]["2B-en"]["listed_by_feed"]["c3p-images"] == 0
            assert [each["feed"] for each in described["waivers"]] == ["iwf-images", "c3p-images"]
            assert "not screened by image" in outcome.output
    assert_mended(root)


LISTS: dict[str, tuple[str, Callable[[bytes], bytes | None], tuple[str, ...]]] = {
    "a malformed line": ("iwf/links.md5.txt", lambda all_of: all_of + f"{SECRET}\n".encode(), ("line",)),
    "a hash of another length": ("iwf/images.md5.txt", lambda all_of: b"0123456789abcdef\n" + all_of, ("line 1",)),
    "hashes of another kind": ("stanford/links.sha1.txt", lambda all_of: b"ab" * 16 + b"\n" + all_of, ("line 1",)),
    "nothing": ("hrw/links.txt", lambda _: b"", ("empty",)),
    "comments only": ("hrw/links.txt", lambda _: b"# nothing\n\n", ("hrw-links",)),
    "no file": ("hrw/links.txt", lambda _: None, ("no file matches",)),
    "half of itself": ("iwf/images.md5.txt", lambda all_of: all_of[: len(all_of) // 33 // 3 * 33], ("min_entries",)),
    "another column": ("c3p/images.csv", lambda all_of: all_of.replace(b"md5,", b"hash,", 1), ("md5",)),
    "no text": ("c3p/images.csv", lambda _: f"md5,added\n{SECRET}\xff,1\n".encode("latin-1"), ("line",)),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_bad_list(root, name):
    file, change, told = LISTS[name]
    path = root.path / "feeds" / file
    with instead(path, change(path.read_bytes())):
        assert_refused(root, path.name if name != "no file" else "hrw", *told)


def test_all_mended(root):
    assert_mended(root)


SETTINGS = {
    "an unknown hash": ('hash = "sha1"', 'hash = "sha3"', "feeds.stanford-links.hash"),
    "an unknown format": ('format = "csv"', 'format = "docx"', "docx"),
    "an unknown kind": ('kind = "link"', 'kind = "phone"', "feeds.hrw-links.kind"),
    "a hash without need": ('kind = "link"\n', 'kind = "link"\nhash = "md5"\n', "feeds.hrw-links"),
    "no hash": ('hash = "sha1"\n', "", "feeds.stanford-links"),
    "an unknown link form": ('hash = "sha1"\n', 'hash = "sha1"\nlink_form = "sideways"\n', "feeds.stanford-links"),
    "an unknown preset": ("slices = 1", 'columns = "laion9"', "laion9"),
    "an unknown key": ("slices = 1", "slice = 1", "subsets.2B-en.slice"),
    "a wrong type": ("slices = 1", 'slices = "many"', "subsets.2B-en.slices"),
    "a threshold out of range": ("research_above = 0.95", "research_above = 1.5", "nsfw.research_above"),
    "thresholds the wrong way": ("research_safe_above = 0.45", "research_safe_above = 0.99", "nsfw"),
    "no TOML": ("[dataset]", "[dataset", "not valid TOML"),
    "a keyword file that is not there": ('"keywords.txt"', '"words.txt"', "words.txt"),
    "a path that leads nowhere": ('"raw/2B-en/*.parquet"', '"row/2B-en/*.parquet"', "subsets.2B-en.shards"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_bad_settings(root, name):
    old, new, told = SETTINGS[name]
    path = root.path / "relaion.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    with instead(path, text.replace(old, new, 1).encode()):
        assert_refused(root, told)


@pytest.mark.parametrize("content", [b"", b"# only a comment\n\n", b"\xff\xfe\x00", None])
def test_bad_keywords(root, content):
    with instead(root.path / "keywords.txt", content):
        assert_refused(root, "keywords.txt")


def test_rows_without_score_where_the_policy_is_to_stop(root):
    path = root.path / "relaion.toml"
    text = path.read_bytes().replace(b"[nsfw]\n", b'[nsfw]\nmissing_score = "stop"\n')
    with instead(path, text):
        assert_refused(root, "have no score", shard(root).name)


@pytest.mark.parametrize("version", ["newest", "../outside", "2026-13.1", "2001-01-01.001"])
def test_bad_versions(root, version):
    """A name that is none, or that sorts before a release that is there."""
    path = root.path / "relaion.toml"
    before = shared.tree_digest(root.releases)
    with instead(path, path.read_bytes().replace(b'title = "', b'title = "new ', 1)):
        outcome = shared.release(root.path, version=version)
    assert outcome.exit_code != 0
    assert "unexpected" not in outcome.output
    assert version in outcome.output
    assert shared.tree_digest(root.releases) == before


def test_a_full_disk(root, tmp_path):
    """On a small file system of its own, where that may be mounted."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2600k", "tmpfs", str(mounted)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    keywords = root.path / "keywords.txt"
    staged = root.private / "staged"
    aside = root.private / "aside"
    staged.rename(aside)
    staged.symlink_to(mounted)
    (mounted / "filler").write_bytes(b"x" * 2_500_000)
    try:
        with instead(keywords, keywords.read_bytes() + b"photo\n"):
            assert_refused(root, "no space left")
    finally:
        staged.unlink()
        aside.rename(staged)
        subprocess.run(["umount", mounted], check=True)
    assert_mended(root)


def test_a_releases_folder_that_cannot_be_written(root):
    if os.getuid() == 0:
        flags = subprocess.run(["chattr", "+i", root.releases], capture_output=True, check=False)
        if flags.returncode != 0:
            pytest.skip("root may write anywhere here")
        undo = ["chattr", "-i", root.releases]
    else:
        root.releases.chmod(0o500)
        undo = ["chmod", "755", root.releases]
    try:
        shared.edit_settings(root.path, 'title = "', 'title = "once more ')
        assert_refused(root, str(root.releases))
    finally:
        subprocess.run(undo, check=True)
    assert_mended(root)


@pytest.mark.slow
def test_the_rendering_of_a_wrong_value_is_not_told(root, tmp_path):
    """Text shards: a line of too many fields, bytes that are no text, a value that is no number."""
    folder = tmp_path / "text"
    sample_root = DataRoot.at(folder)
    (folder / "raw").mkdir(parents=True)
    (folder / "feeds").mkdir()
    (folder / "feeds" / "list.txt").write_text("https://listed.example/1.jpg\n")
    (folder / "keywords.txt").write_text("word\n")
    (folder / "relaion.toml").write_text(
        '[dataset]\nname = "t"\n[subsets.t]\nshards = "raw/*.csv"\n'
        'columns = { link = "url", punsafe = "punsafe" }\n'
        '[feeds.list]\npartner = "P"\nversion = "1"\nfiles = "feeds/list.txt"\nkind = "link"\n'
        "[removals]\nmax_listed_share = 1.0\n"
    )
    for content in (
        b"url,punsafe\nhttps://a.example/1.jpg,0.1\nhttps://a.example/zqx7secret,0.1,zqx7secret\n",
        b"url,punsafe\nhttps://a.example/zqx7secret\xff.jpg,0.1\n",
        b'url,punsafe\n"https://a.example/zqx7secret,0.1\n',
        b"url\nhttps://a.example/zqx7secret\n",
        b"",
    ):
        (folder / "raw" / "one.csv").write_bytes(content)
        outcome = shared.release(sample_root.path)
        assert outcome.exit_code == 1, (content, outcome.output)
        assert "one.csv" in outcome.output
        assert "unexpected" not in outcome.output
        assert SECRET not in outcome.output
    (folder / "raw" / "one.csv").write_bytes(
        b"url,punsafe\nhttps://a.example/1.jpg,0.1\nhttps://listed.example/1.jpg,0\n"
    )
    outcome = shared.release(sample_root.path)
    assert outcome.exit_code == 0, outcome.output
    assert shared.manifest(sample_root.path)["total"]["kept"] == {"research": 1, "research-safe": 1}


def test_no_data_root_at_all(tmp_path):
    outcome = shared.release(tmp_path / "nothing")
    assert outcome.exit_code == 1
    assert "no settings file" in outcome.output
    assert "relaion init" in outcome.output


@pytest.mark.slow
def test_dictionary_types_travel_through(root):
    """The shard's own types travel through: a source of dictionary-encoded text is published as such."""
    path = shard(root)
    table = pq.read_table(path)
    at = table.schema.get_field_index("TEXT")
    with instead(path, None):
        pq.write_table(table.set_column(at, "TEXT", table["TEXT"].dictionary_encode()), path)
        outcome = shared.release(root.path)
        assert outcome.exit_code == 0, outcome.output
        in_safe, _, _ = shared.published(root.path, "2B-en", path.stem)
        assert in_safe.schema.field("TEXT").type == pa.dictionary(pa.int32(), pa.string())
    assert_mended(root)
