"""The settings file: every wrong key, type and value is named with its place."""

import pytest

from relaion_pipeline import settings
from relaion_pipeline.settings import SettingsError

GOOD = """
[dataset]
name = "d"
[subsets.one]
shards = "raw/*.parquet"
[feeds.f]
partner = "P"
version = "1"
files = "feeds/*.txt"
kind = "image"
hash = "md5"
"""


def load(tmp_path, text):
    (tmp_path / "relaion.toml").write_text(text, encoding="utf-8")
    return settings.load(tmp_path)


def test_defaults_are_laions_rules(tmp_path):
    nsfw = load(tmp_path, GOOD).nsfw
    assert (nsfw.research_above, nsfw.research_safe_above, nsfw.missing_score) == (0.95, 0.45, "remove")


WRONG = {
    'shards = "raw/*.parquet"\nslices = 0': "subsets.one.slices",
    'shards = "raw/*.parquet"\nslices = 513': "subsets.one.slices",
    'shards = "raw/*.parquet"\nslices = "many"': "subsets.one.slices",
    'shards = "raw/*.parquet"\nshard = "x"': "subsets.one.shard",
    'shards = "raw/*.parquet"\ncolumns = { text = "t" }': "subsets.one.columns.link",
    'shards = "raw/*.parquet"\ncolumns = { link = "u", lnik = "t" }': "subsets.one.columns.lnik",
    "shards = 7": "subsets.one.shards",
}


@pytest.mark.parametrize("lines", WRONG)
def test_wrong_subsets_are_named(tmp_path, lines):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, GOOD.replace('shards = "raw/*.parquet"', lines))
    assert f"relaion.toml: {WRONG[lines]}: " in str(caught.value)


@pytest.mark.parametrize(
    ("added", "place"),
    [
        ("[nsfw]\nresearch_above = 1.01", "nsfw.research_above"),
        ("[nsfw]\nresearch_safe_above = -0.1", "nsfw.research_safe_above"),
        ("[nsfw]\nresearch_safe_above = 0.96", "nsfw"),
        ("[nsfw]\nmissing_score = 'keep'", "nsfw.missing_score"),
        ("[output]\ncompression = 'lzma'", "output.compression"),
        ("[output]\nrow_group_rows = 3", "output.row_group_rows"),
        ("[limits]\nmemory = 'much'", "limits.memory"),
        ("[limits]\nthreads = -1", "limits.threads"),
        ("[[waivers]]\nkind = 'unanswerable-feed'\nfeed = 'f'\nreason = 'r'", "waivers[0].by"),
        ("[[waivers]]\nkind = 'unanswerable-feed'\nfeed = 'f'\nreason = ''\nby = 'b'", "waivers[0].reason"),
        ("[[waivers]]\nkind = 'unanswerable-feed'\nfeed = 'g'\nreason = 'r'\nby = 'b'", "waivers[0].feed"),
        ("[[waivers]]\nkind = 'anything'\nfeed = 'f'\nreason = 'r'\nby = 'b'", "waivers[0].kind"),
        ("[automation]\nquiet_seconds = 0", "automation.quiet_seconds"),
        ("[automation]\ncron = 'daily'", "automation.cron"),
        ("[automation]\ntimezone = 'Mars/Olympus'", "automation.timezone"),
        ("[automation]\ntimezone = '../etc/passwd'", "automation.timezone"),
        ("[notify]\nemail_to = ['a@b.c']", "notify"),
        ("[notify]\nsmtp_user = 'a'", "notify"),
        ("[surprise]\na = 1", "surprise"),
        ("[subsets.ONE]\nshards = 'x'", "subsets"),
        ("[subsets.'a/b']\nshards = 'x'", "subsets"),
    ],
)
def test_wrong_values_are_named(tmp_path, added, place):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"{GOOD}\n{added}\n")
    assert place in str(caught.value)


@pytest.mark.parametrize("gone", ['[dataset]\nname = "d"\n', 'partner = "P"\n', 'kind = "image"\n', 'hash = "md5"\n'])
def test_what_is_required_is_missed(tmp_path, gone):
    assert gone in GOOD
    with pytest.raises(SettingsError, match=r"dataset|feeds\.f"):
        load(tmp_path, GOOD.replace(gone, ""))


def test_every_mistake_is_told_at_once(tmp_path):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, GOOD.replace('hash = "md5"', 'hash = "md6"').replace('name = "d"', "name = 1") + "[x]\n")
    assert len(str(caught.value).split("\n")) == 3


@pytest.mark.parametrize("content", [b"[", b"\xff", b"a = "])
def test_what_is_no_toml(tmp_path, content):
    (tmp_path / "relaion.toml").write_bytes(content)
    with pytest.raises(SettingsError, match="not valid TOML"):
        settings.load(tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(SettingsError, match="relaion init"):
        settings.load(tmp_path)


def test_the_digest_is_of_what_changes_a_release(tmp_path):
    base = load(tmp_path, GOOD).digest()
    assert load(tmp_path, f"# a comment\n{GOOD}\n[limits]\nthreads = 1\n").digest() == base
    assert load(tmp_path, f"{GOOD}\n[automation]\nsensor = true\n[notify]\nsmtp_port = 25\n").digest() == base
    assert load(tmp_path, f"{GOOD}\n[nsfw]\nresearch_above = 0.95\n").digest() == base
    assert load(tmp_path, f"{GOOD}\n[nsfw]\nresearch_above = 0.94\n").digest() != base
    assert load(tmp_path, GOOD.replace('version = "1"', 'version = "2"')).digest() != base


def test_waivers_are_for_what_they_name(tmp_path):
    two = GOOD + "[subsets.two]\nshards = 'x'\n"
    waiver = "[[waivers]]\nkind = 'unanswerable-feed'\nfeed = 'f'\nreason = 'r'\nby = 'b'\n"
    loaded = load(tmp_path, f"{two}{waiver}subset = 'one'\n")
    assert [loaded.waived("f", name) for name in ("one", "two")] == [True, False]
    loaded = load(tmp_path, two + waiver)
    assert [loaded.waived("f", name) for name in ("one", "two")] == [True, True]
