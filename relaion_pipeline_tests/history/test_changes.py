"""What changed between two releases' inputs: all of it, each thing once, in words that name no entry and no digest."""

import hashlib
import json
import random
import re
import tomllib

import pytest

from relaion_pipeline.history import changes
from relaion_pipeline.history.changes import Kind, Stage
from relaion_pipeline.release.records import UsedFeed, UsedInputs, UsedShard
from relaion_pipeline.settings import Settings

TOML = """
[dataset]
name = "d"
[subsets.en]
shards = "raw/en/*.parquet"
[subsets.multi]
shards = "raw/multi/*.parquet"
[feeds.iwf]
partner = "IWF"
version = "1"
files = "feeds/iwf/*"
kind = "image"
hash = "md5"
[feeds.hrw]
partner = "HRW"
version = "1"
files = "feeds/hrw/*"
kind = "link"
[nsfw]
[output]
[removals]
"""
WAIVER = {"kind": "quarantined-entry", "feed": "hrw", "entry": 3, "reason": "a slip", "by": "Ada"}
SETTLED = (Stage.SETTLED, Stage.TOUCHED, Stage.RELEASE)
LISTS = (Stage.ASKED, Stage.SETTLED, Stage.TOUCHED, Stage.VERIFICATION, Stage.RELEASE)
RULES = (Stage.RULES, Stage.SETTLED, Stage.TOUCHED, Stage.VERIFICATION, Stage.RELEASE)
WRITTEN = (Stage.EDITIONS, Stage.VERIFICATION, Stage.RELEASE)
ALL = (Stage.LISTS, Stage.RULES, Stage.SETTLED, *WRITTEN)
OF_SHARDS = tuple(stage for stage in Stage if stage is not Stage.ASKED)
RELEASE = (Stage.RELEASE,)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def inputs(content):
    """Inputs as `content` has them: settings as TOML has them, files and digests by name."""
    loaded = Settings.model_validate(content["settings"])
    files = content["files"]
    return UsedInputs(
        settings=json.loads(json.dumps(loaded.deciding())),
        settings_sha256=loaded.digest(),
        keywords_sha256=digest(content["keywords"]),
        feeds={
            name: UsedFeed(
                partner=feed.partner,
                version=feed.version,
                files={path: digest(text) for path, text in files[name].items()},
                entries=2,
            )
            for name, feed in loaded.feeds.items()
        },
        shards={
            name: UsedShard(source_sha256=digest(text), scores_sha256=None) for name, text in content["shards"].items()
        },
        code_version=content["code"],
    )


def base():
    return {
        "settings": tomllib.loads(TOML),
        "files": {"iwf": {"feeds/iwf/a": "1", "feeds/iwf/b": "2"}, "hrw": {"feeds/hrw/a": "3"}},
        "keywords": "k",
        "shards": {"en/0": "x", "en/1": "y", "multi/0": "z"},
        "code": "0.1.0+aaaaaaaaaaaa",
    }


def put(*path_and_value):
    *path, key, value = path_and_value

    def change(content):
        for each in path:
            content = content[each]
        content[key] = value

    return change


def both(*several):
    return lambda content: [change(content) for change in several]


def drop(*path):
    def change(content):
        for each in path[:-1]:
            content = content[each]
        del content[path[-1]]

    return change


def reorder(content):
    subsets = content["settings"]["subsets"]
    content["settings"]["subsets"] = dict(reversed(subsets.items()))
    content["shards"] = {name: content["shards"][name] for name in ("multi/0", "en/0", "en/1")}


NEW_FEED = {"partner": "C3P", "version": "7", "files": "feeds/c3p/*", "kind": "image", "hash": "md5"}

CASES = {
    "a file of a list": (
        put("files", "iwf", "feeds/iwf/b", "other"),
        Kind.FEED,
        "feed 'iwf': files changed: 1 of 2",
        LISTS,
        None,
    ),
    "a new version of a list, with another file": (
        both(put("settings", "feeds", "iwf", "version", "2"), put("files", "iwf", "feeds/iwf/c", "5")),
        Kind.FEED,
        "feed 'iwf': version 1 -> 2, files added: 1",
        LISTS,
        None,
    ),
    "a file of a list gone": (drop("files", "iwf", "feeds/iwf/b"), Kind.FEED, "feed 'iwf': files gone: 1", LISTS, None),
    "only what a list is called": (
        put("settings", "feeds", "iwf", "version", "2"),
        Kind.FEED,
        "feed 'iwf': version 1 -> 2",
        RELEASE,
        None,
    ),
    "a new list": (
        both(put("settings", "feeds", "c3p", NEW_FEED), put("files", "c3p", {"feeds/c3p/a": "4"})),
        Kind.FEED,
        "feed 'c3p' of C3P, version 7: added",
        LISTS,
        None,
    ),
    "a list left out": (
        both(drop("settings", "feeds", "iwf"), drop("files", "iwf")),
        Kind.FEED,
        "feed 'iwf' of IWF: no longer used",
        LISTS,
        None,
    ),
    "how a list is read": (
        put("settings", "feeds", "iwf", "hash", "sha1"),
        Kind.SETTING,
        "feeds.iwf.hash: md5 -> sha1",
        LISTS,
        None,
    ),
    "a threshold": (
        put("settings", "nsfw", "research_safe_above", 0.4),
        Kind.SETTING,
        "nsfw.research_safe_above: 0.45 -> 0.4",
        RULES,
        None,
    ),
    "keywords": (put("keywords", "other"), Kind.KEYWORDS, "keyword file changed", RULES, None),
    "a new shard": (
        put("shards", "en/2", "new"),
        Kind.SHARDS,
        "1 shard of en added: 2",
        OF_SHARDS,
        ("en/2",),
    ),
    "a shard replaced": (
        put("shards", "en/1", "other"),
        Kind.SHARDS,
        "1 shard of en replaced: 1",
        OF_SHARDS,
        ("en/1",),
    ),
    "a shard removed": (drop("shards", "en/1"), Kind.SHARDS, "1 shard of en removed: 1", SETTLED, None),
    "many new shards": (
        lambda content: content["shards"].update({f"multi/n{number}": "n" for number in range(7)}),
        Kind.SHARDS,
        "7 shards of multi added: n0, n1, n2, n3, n4 and 2 more",
        OF_SHARDS,
        tuple(f"multi/n{number}" for number in range(7)),
    ),
    "subsets in another order": (reorder, Kind.SHARDS, "shards in another order", RELEASE, None),
    "how a subset is read": (
        put("settings", "subsets", "en", "columns", "laion-5b"),
        Kind.SETTING,
        "subsets.en.columns: auto -> laion-5b",
        OF_SHARDS,
        ("en/0", "en/1"),
    ),
    "slices": (
        put("settings", "subsets", "en", "slices", 4),
        Kind.SETTING,
        "subsets.en.slices: 1 -> 4",
        RELEASE,
        None,
    ),
    "how files are written": (
        put("settings", "output", "compression_level", 3),
        Kind.SETTING,
        "output.compression_level: 1 -> 3",
        WRITTEN,
        None,
    ),
    "what the card says": (
        put("settings", "dataset", "description", "word " * 40),
        Kind.SETTING,
        f"dataset.description: none -> {('word ' * 40)[:60]}...",
        RELEASE,
        None,
    ),
    "the share that lists may have": (
        put("settings", "removals", "max_listed_share", 0.5),
        Kind.SETTING,
        "removals.max_listed_share: 0.001 -> 0.5",
        SETTLED,
        None,
    ),
    "a waiver": (
        put("settings", "waivers", [WAIVER]),
        Kind.WAIVER,
        "waiver granted: quarantined-entry of feed 'hrw' entry number 3, by Ada: a slip",
        LISTS,
        None,
    ),
    "the code": (
        put("code", "0.2.0+bbbbbbbbbbbb"),
        Kind.CODE,
        "code: 0.1.0+aaaaaaaaaaaa -> 0.2.0+bbbbbbbbbbbb",
        ALL,
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_change_is_told_once_with_what_it_makes_stale(name):
    change, kind, text, stages, shards = CASES[name]
    content = base()
    change(content)
    assert changes.between(inputs(base()), inputs(content)) == (changes.Change(kind, text, stages, shards),)


def test_a_waiver_withdrawn():
    content = base()
    content["settings"]["waivers"] = [WAIVER]
    (found,) = changes.between(inputs(content), inputs(base()))
    assert found.text == "waiver withdrawn: quarantined-entry of feed 'hrw' entry number 3, by Ada: a slip"


def test_a_waiver_that_lets_rows_back():
    content = base()
    given = {"kind": "removed-before", "feed": "gone", "release": "2026-01-01.001", "reason": "mistaken", "by": "Ada"}
    content["settings"]["waivers"] = [given]
    (found,) = changes.between(inputs(base()), inputs(content))
    assert found.text == "waiver granted: removed-before of feed 'gone' by release 2026-01-01.001, by Ada: mistaken"
    assert found.stages == SETTLED
    assert "(1,234 removals lifted)" in changes.describe_waiver(given | {"rows": 1_234})


def test_something_is_told_exactly_if_the_digest_is_another():
    chance = random.Random(5)
    seen = set()
    for _ in range(300):
        contents = [base(), base()]
        for content in contents:
            for name in chance.sample(sorted(CASES), chance.randint(0, 2)):
                try:
                    CASES[name][0](content)
                except KeyError:  # what one change took away
                    continue
        old, new = map(inputs, contents)
        found = changes.between(old, new)
        assert bool(found) == (old.sha256 != new.sha256), [each.text for each in found]
        seen.add(bool(found))
    assert seen == {True, False}


def places(settings, at=()):
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from places(value, (*at, key))
        else:
            yield (*at, key)


def test_no_key_of_the_settings_changes_in_silence():
    old = inputs(base())
    for place in places(old.settings):
        settings = json.loads(json.dumps(old.settings))
        inner = settings
        for key in place[:-1]:
            inner = inner[key]
        if place[-1] == "waivers":
            inner["waivers"] = [WAIVER]
        else:
            inner[place[-1]] = "something else"
        new = old.model_copy(update={"settings": settings, "settings_sha256": digest(str(place))})
        found = changes.between(old, new)
        if place[0] == "feeds" and place[-1] in {"partner", "version"}:
            assert found == (), "a label of a feed is told with the feed"
        elif place[-1] != "waivers":
            (only,) = found
            assert only.text.startswith(f"{'.'.join(place)}: ")
            assert only.text.endswith(" -> something else")


def test_what_is_stale_is_counted_by_shard():
    content = base()
    for name in ("a new shard", "a threshold", "a file of a list"):
        CASES[name][0](content)
    new = inputs(content)
    found = changes.stale(changes.between(inputs(base()), new), new.shards)
    every = set(new.shards)
    assert found == {
        Stage.LISTS: {"en/2"},
        Stage.ASKED: every - {"en/2"},
        Stage.RULES: every,
        Stage.SETTLED: every,
        Stage.EDITIONS: {"en/2"},
        Stage.TOUCHED: every,
        Stage.VERIFICATION: every,
        Stage.RELEASE: every,
    }
    assert list(found) == list(Stage)
    content = base()
    CASES["a file of a list"][0](content)
    found = changes.stale(changes.between(inputs(base()), inputs(content)), base()["shards"])
    assert Stage.LISTS not in found
    assert found[Stage.ASKED] == set(base()["shards"])
    assert changes.stale((), new.shards) == {}


def test_no_digest_is_told():
    content = base()
    for change, *_ in CASES.values():
        try:
            change(content)
        except KeyError:
            continue
    told = json.dumps([each.as_json() for each in changes.between(inputs(base()), inputs(content))])
    assert len(told) > 1_000
    assert not re.search(r"[0-9a-f]{16}", told)
