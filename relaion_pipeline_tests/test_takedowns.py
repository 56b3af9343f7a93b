"""Takedown requests: what is refused, what stands in the list, and that its rows go with the next release."""

import hashlib
import stat
import tomllib

import pytest
from click.testing import CliRunner

from relaion_pipeline import settings
from relaion_pipeline.cli import main
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.end_to_end import shared

MARK = "zqx7takedown"
ASKED = ("--reference", "2026/17", "--ground", "privacy")


@pytest.fixture
def root(copied) -> DataRoot:
    return copied()


def add(root, *arguments, **options):
    asked = ["takedown", "add", "--data", str(root.path), *map(str, arguments)]
    return CliRunner(env={"COLUMNS": "2000"}).invoke(main, asked, **options)


def declare(root):
    """Do what the command says: append the lines that it names."""
    told = add(root, *ASKED, "https://x.example/a.jpg").output
    lines = told[told.index("[feeds.") :]
    with (root.path / "relaion.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + lines)
    return lines


def listed(root):
    outcome = shared.run("takedown", "list", "--data", root.path)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def test_an_undeclared_list_is_not_written_and_the_lines_to_add_are_named(root):
    outcome = add(root, *ASKED, f"https://{MARK}.example/a.jpg")
    assert outcome.exit_code == 1
    assert not root.takedowns.exists()
    assert MARK not in outcome.output
    lines = declare(root)
    assert tomllib.loads(lines)["feeds"]["takedowns"]["max_shrink_share"] == 0.0
    settings.load(root.path)
    assert add(root, *ASKED, "https://x.example/a.jpg").exit_code == 0


def test_the_list_is_private_and_grows_by_what_is_new(root):
    declare(root)
    assert "2 entries added" in add(root, *ASKED, input=f"https://x.example/{MARK}\n\nhttps://x.example/b\n").output
    before = root.takedowns.read_bytes()
    assert "1 entries added" in add(root, *ASKED, f"https://x.example/{MARK}", "https://x.example/c").output
    digest = hashlib.sha256(MARK.encode()).hexdigest()
    other = ("--reference", "data", "--ground", "court-order", "--hash", "image-sha256")
    assert "1 entries added" in add(root, *other, digest).output
    assert root.takedowns.read_bytes().startswith(before)
    assert stat.S_IMODE(root.takedowns.stat().st_mode) == 0o600
    assert stat.S_IMODE(root.takedowns.parent.stat().st_mode) == 0o700
    told = listed(root)
    lines = [line.split() for line in told.splitlines()]
    assert ["2026/17", "privacy"] in [line[:2] for line in lines]
    assert [line[3] for line in lines if line[:1] == ["2026/17"]] == ["3"]
    assert [line[3:] for line in lines if line[:1] == ["data"]] == [["1", "requested"]]
    assert MARK not in told
    assert digest not in told


USELESS = {
    "not a link": ((), "https:///"),
    "a hash that is not said to be one": ((), hashlib.md5(MARK.encode()).hexdigest()),
    "no hash": (("--hash", "image-md5"), f"{MARK}"),
    "another hash": (("--hash", "image-sha256"), hashlib.md5(MARK.encode()).hexdigest()),
    "the hash of nothing": (("--hash", "image-md5"), hashlib.md5(b"").hexdigest()),
}


@pytest.mark.parametrize("name", USELESS)
def test_an_entry_that_could_match_nothing_is_refused_by_its_number(root, name):
    declare(root)
    options, entry = USELESS[name]
    good = {"image-md5": "a" * 32, "image-sha256": "a" * 64}.get(options[-1] if options else "", "https://x.example/a")
    outcome = add(root, *ASKED, *options, good, entry)
    assert outcome.exit_code == 1
    assert "number 2" in outcome.output
    assert MARK not in outcome.output
    assert not root.takedowns.exists()


@pytest.mark.slow
def test_a_request_goes_the_way_of_all_feeds(root):
    """Rows go from the next release; the list's state tells it, for this request and for no later one."""
    declare(root)
    stem = next(stem for subset, stem, _ in shared.sources(root.path) if subset == "2B-en")
    links = shared.published(root.path, "2B-en", stem)[0]["URL"].to_pylist()[:2]
    assert add(root, *ASKED, input="\n".join(links)).exit_code == 0
    outcome = shared.release(root.path, version="2026-01-03.001")
    assert outcome.exit_code == 0, outcome.output
    feeds = {feed["name"]: feed for feed in shared.manifest(root.path)["feeds"]}
    assert feeds["takedowns"]["entries"] == 2
    assert feeds["takedowns"]["sha256"] is None
    assert shared.manifest(root.path)["total"]["listed_by_feed"]["takedowns"] >= 2
    for subset, stem, _ in shared.sources(root.path):
        assert not set(links) & set(shared.published(root.path, subset, stem)[1]["URL"].to_pylist())
    later = ("--reference", "C-4/26", "--ground", "opt-out")
    assert add(root, *later, links[0], "https://later.example/a").exit_code == 0
    told = {line.split()[0]: line for line in listed(root).splitlines() if line.strip()}
    assert told["2026/17"].rstrip().endswith("removed in release 2026-01-03.001")
    assert told["C-4/26"].rstrip().endswith("requested")

    with (root.path / "relaion.toml").open("a", encoding="utf-8") as file:
        file.write('\n[publish.mirror]\nto = "mirror"\nproof = "gate"\n')
    assert "in all published editions" not in listed(root)
    outcome = shared.run("publish", "--data", root.path)
    assert outcome.exit_code == 0, outcome.output
    told = {line.split()[0]: line for line in listed(root).splitlines() if line.strip()}
    assert told["2026/17"].rstrip().endswith("removed in release 2026-01-03.001, and in all published editions")

    lines = root.takedowns.read_text().splitlines(keepends=True)
    root.takedowns.write_text("".join(lines[1:]))
    outcome = shared.run("takedown", "list", "--data", root.path)
    assert outcome.exit_code == 1
    assert "2026-01-03.001" in outcome.output
    assert not any(link in outcome.output for link in links)
    root.takedowns.write_text(f"{MARK}\n")
    outcome = shared.run("takedown", "list", "--data", root.path)
    assert outcome.exit_code == 1
    assert "line 1" in outcome.output
    assert MARK not in outcome.output
