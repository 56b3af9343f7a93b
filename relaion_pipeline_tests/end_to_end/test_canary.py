"""The canary: listed links and texts carry marks, and none comes out anywhere, whatever goes wrong.

Runs happen in processes of their own, with a temporary folder of their own, and all that they print is kept.
"""

import dataclasses
import hashlib
import sqlite3
import stat
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import automation, runs, sample, settings
from relaion_pipeline.layout import EDITIONS, DataRoot
from relaion_pipeline.release import documents, manifest, records
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.unattended.notices import Notice
from relaion_pipeline.unattended.watch import Memory
from relaion_pipeline.verification import gate
from relaion_pipeline_tests import conftest
from relaion_pipeline_tests.end_to_end import marks, shared
from relaion_pipeline_tests.history import made
from relaion_pipeline_tests.orchestration.runs import instance

MARK = "zqx7canary"
DOMAIN = f"{MARK}domain.example"
PREFIX = f"shop.example/{MARK}prefix"
FEEDS = """
[feeds.marked-domains]
partner = "Sample partner"
version = "1"
files = "feeds/marked/domains.txt"
kind = "domain"

[feeds.marked-prefixes]
partner = "Sample partner"
version = "1"
files = "feeds/marked/prefixes.txt"
kind = "prefix"

[feeds.marked-hosts]
partner = "Sample partner"
version = "1"
files = "feeds/marked/hosts.csv"
format = "csv"
column = "domain"
kind = "domain"
max_malformed_share = 0.5

[nsfw]"""


def with_marked_hosts(data_root: Path) -> list[tuple[str, str]]:
    """Give rows of the first shard links that the domain and prefix lists name; return links and texts."""
    path = min((data_root / "raw" / "2B-en").glob("*.parquet"))
    table = pq.read_table(path)
    links, texts = table["URL"].to_pylist(), table["TEXT"].to_pylist()
    free = [row for row, link in enumerate(links) if link and MARK not in link][:6]
    for at, row in enumerate(free):
        host = f"img{at}.{DOMAIN}" if at % 2 else PREFIX
        links[row], texts[row] = f"https://{host}/{at}.jpg", f"{MARK} text {at}"
    for name, values in (("URL", links), ("TEXT", texts)):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values))
    pq.write_table(table, path)
    marked = data_root / "feeds" / "marked"
    marked.mkdir()
    (marked / "domains.txt").write_text(f"{DOMAIN}\nother{MARK}.example\n", encoding="utf-8")
    (marked / "prefixes.txt").write_text(f"https://{PREFIX}/\n", encoding="utf-8")
    (marked / "hosts.csv").write_text(f"domain\n{MARK}csv.example\n{MARK} no host/{MARK}\n", encoding="utf-8")
    shared.edit_settings(data_root, "\n[nsfw]", FEEDS)
    return [(links[row], texts[row]) for row in free]


def needles(data_root: Path, truth: dict[str, set[shared.Row]]) -> tuple[set[bytes], set[bytes]]:
    """What must stand nowhere: readable things, and all digests of them."""
    union = set().union(*truth.values())
    readable, digests = {MARK.encode(), MARK.upper().encode(), DOMAIN.encode(), PREFIX.encode()}, set()
    for subset, stem, table in shared.sources(data_root):
        for number, row in enumerate(table.select(["URL", "TEXT", "md5"]).to_pylist()):
            if (subset, stem, number) in union or MARK in (row["URL"] or ""):
                readable |= {row["URL"].encode(), row["TEXT"].encode()}
                digests |= set(marks.of_link(row["URL"])) - {row["URL"].encode()}
                if row["md5"]:
                    digests |= set(marks.of_digest(bytes.fromhex(row["md5"])))
    for entry in shared.entries(data_root) - {""}:
        if len(entry) in {32, 40} and not entry.startswith("http"):
            digests |= set(marks.of_digest(bytes.fromhex(entry)))
        elif "://" in entry:
            readable.add(entry.encode())
            digests |= set(marks.of_link(entry)) - {entry.encode()}
    for name in ("md5", "sha1", "sha256"):
        for text in (DOMAIN, PREFIX):
            digests |= set(marks.of_digest(hashlib.new(name, text.encode(), usedforsecurity=False).digest()))
    return readable, digests


@pytest.fixture(scope="module")
def canary(tmp_path_factory):
    """A data root whose first run fails at a truncated shard and whose second completes, and all that they said."""
    folder = tmp_path_factory.mktemp("canary")
    made = sample.generate(folder / "data", rows=6_000, seed=6, planted=90, marks=True)
    root = DataRoot.at(made.data_root)
    with_marked_hosts(root.path)
    scratch = folder / "tmp"
    scratch.mkdir()
    path = max((root.path / "raw" / "2B-multi").glob("*.parquet"))
    whole = path.read_bytes()
    runs = []
    for content in (whole[: len(whole) // 2], whole):
        path.write_bytes(content)
        runs.append(shared.run_apart("release", "--data", root.path, TMPDIR=str(scratch)))
    runs.append(shared.run_apart("verify", "--data", root.path, TMPDIR=str(scratch)))
    assert [each.returncode for each in runs] == [1, 0, 0], [each.stderr for each in runs]
    assert path.name in runs[0].stderr
    return root, shared.truth(made.truth), runs, scratch


@pytest.fixture(scope="module")
def scan(canary):
    root, truth, _, _ = canary
    readable, digests = needles(root.path, truth)
    assert len(readable) > 100
    assert len(digests) > 10_000
    return marks.Scan(readable | digests), marks.Scan(readable)


def test_the_lists_were_at_work(canary):
    root, truth, _, _ = canary
    counts = shared.manifest(root.path)["total"]
    assert counts["listed"] == len(set().union(*truth.values())) + 6
    assert counts["listed_by_feed"]["marked-domains"] == counts["listed_by_feed"]["marked-prefixes"] == 3


def test_nothing_listed_stands_outside_private(canary, scan):
    root, _, runs, scratch = canary
    inputs = (root.path / "raw", root.path / "feeds")
    assert (root.dagster_home / "history" / "runs.db").is_file()
    assert scan[0].in_folder(root.path, skip=(*inputs, root.private)) == {}
    assert scan[0].in_folder(root.data_docs) == {}
    assert scan[0].in_folder(scratch) == {}
    for edition in EDITIONS:  # what goes where one edition goes alone
        for content in documents.of_editions(manifest.read(root.current), (edition,)).values():
            assert scan[0].found(content.encode()) == set()
    for each in runs:
        assert scan[0].found((each.stdout + each.stderr).encode()) == set()


def test_nothing_listed_is_readable_in_private(canary, scan):
    """Keys of entries stand there, of course; not their text, nor that of a listed row."""
    root, _, _, _ = canary
    assert scan[1].in_folder(root.private) == {}


def test_what_is_said_of_releases_and_changes_quotes_nothing(canary, scan, tmp_path):
    """Everything changed at once, so that every kind of cause is told; digests of lists are needles too."""
    root = conftest.copy_of(canary[0].path, tmp_path / "copy")
    first = shared.current(root.path).name
    inputs = Inputs(root, settings.load(root.path)).used
    fewer = {name: feed for name, feed in inputs.feeds.items() if name != "marked-hosts"}
    fewer["marked-domains"] = fewer["marked-domains"].model_copy(update={"files": {"feeds/x": "0" * 64}})
    other = {"feeds": fewer, "keywords_sha256": "0" * 64, "shards": dict(list(inputs.shards.items())[1:])}
    made.copy_release(root, first, "2999-01-01.001", inputs.model_copy(update=other))
    shared.edit_settings(root.path, "research_safe_above = 0.45", "research_safe_above = 0.4")
    with (root.path / "feeds" / "marked" / "domains.txt").open("a", encoding="utf-8") as file:
        file.write(f"third{MARK}.example\n")
    secret = {path.read_bytes() for path in (root.path / "feeds").rglob("*") if path.is_file()}
    record = records.read(root, first)
    digests = {hashlib.sha256(content).hexdigest() for content in secret} | {record.inputs_sha256}
    digests |= {digest for feed in inputs.feeds.values() for digest in feed.files.values()}
    needles_here = marks.Scan([*scan[0].needles, *(digest.encode() for digest in digests)])
    told = ""
    for command in (
        ["status"],
        ["releases"],
        ["releases", "--json"],
        ["diff"],
        ["diff", "--json"],
        ["rollback", first],
        ["rollback", f"{MARK}00"],
    ):
        outcome = shared.run(*command, "--data", root.path)
        assert outcome.exit_code == (f"{MARK}00" in command), outcome.output
        told += outcome.output.replace(f"{MARK}00", "")
    for kind in ("marked-hosts' of", "marked-domains': files", "keyword file", "shard of", "research_safe_above"):
        assert kind in told
    assert needles_here.found(told.encode()) == set()


def test_audits_and_takedowns_quote_nothing(canary, scan, tmp_path):
    """A release that is whole, then one with everything wrong; requests taken, refused and told."""
    root = conftest.copy_of(canary[0].path, tmp_path / "copy")
    told = shared.run("audit", "--data", root.path, "--recompute", "1").output
    assert "The audit passed." in told
    asked = ("takedown", "add", "--data", root.path, "--reference", "1", "--ground", "privacy")
    told += (refused := shared.run(*asked, f"https://{DOMAIN}/1.jpg").output)
    with (root.path / "relaion.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + refused[refused.index("[feeds.") :])
    for entries in ([f"https://{DOMAIN}/1.jpg"], [f"{MARK}"], ["--hash", "image-md5", f"{MARK}"]):
        told += shared.run(*asked, *entries).output
    told += shared.run("takedown", "list", "--data", root.path).output
    assert "requested" in told
    with (root.path / "feeds" / "marked" / "domains.txt").open("a", encoding="utf-8") as file:
        file.write(f"third{MARK}.example\n{MARK} {MARK}\n")
    next((root.private / "verdicts" / "2B-en").glob("*.parquet")).unlink()
    path = min((root.path / "raw" / "2B-en").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    outcome = shared.run("audit", "--data", root.path, "--recompute", "all")
    assert outcome.exit_code == 1
    assert outcome.output.count("FAILED") > 5
    assert scan[0].found((told + outcome.output).encode()) == set()
    assert scan[0].in_folder(root.private / "audit") == {}


def test_private_is_private(canary):
    root, _, _, _ = canary
    wrong = []
    for path in (root.private, *root.private.rglob("*"), root.dagster_home):
        mode = stat.S_IMODE(path.lstat().st_mode)
        public = path.parent.parent == root.private / "staged" and path.suffix == ".parquet"  # what is published
        if mode != (0o700 if path.is_dir() else 0o644 if public else 0o600) and root.data_docs not in path.parents:
            wrong.append((path, oct(mode)))
    assert wrong == []


def test_the_canary_can_sing(canary, scan, tmp_path):
    """The scan finds what it should: in a log, a database, a compressed column, in any spelling of a digest."""
    root, _, _, _ = canary
    row = next(
        r
        for r in pq.read_table(min((root.path / "raw" / "2B-en").glob("*.parquet"))).to_pylist()
        if MARK in (r["URL"] or "")
    )
    digest = hashlib.sha1(row["URL"].encode(), usedforsecurity=False).digest()
    (tmp_path / "mark.log").write_text(f"it says {MARK} here")
    (tmp_path / "text.log").write_text(f"... {row['TEXT']} ...")
    for number, spelled in enumerate(marks.of_digest(digest)):
        (tmp_path / f"digest-{number}.log").write_bytes(b"x" * number + spelled + b"y")
    pq.write_table(pa.table({"a": ["b", row["URL"]] * 9}), tmp_path / "column.parquet", compression="zstd")
    with sqlite3.connect(tmp_path / "runs.db") as database:
        database.execute("CREATE TABLE logs (line)")
        database.execute("INSERT INTO logs VALUES (?)", ["x" * 100_000 + MARK])
    (tmp_path / "clean.log").write_text("nothing here")
    found = scan[0].in_folder(tmp_path)
    assert found.keys() == {path.name for path in tmp_path.iterdir()} - {"clean.log"}


BAD_LISTS = {
    "a line that is no hash": ("feeds/iwf/links.md5.txt", f"https://x.example/{MARK}00\n".encode()),
    "a hash of the wrong length": ("feeds/iwf/images.md5.txt", hashlib.sha256(MARK.encode()).hexdigest().encode()),
    "bytes that are no text": ("feeds/c3p/images.csv", f"md5,added\n\xff\xfe{MARK}\n".encode("latin-1")),
    "an open quote": ("feeds/c3p/images.csv", f'md5,added\n"{MARK},1\n'.encode()),
    "a column that is missing": ("feeds/c3p/images.csv", f"{MARK},added\n1,2\n".encode()),
    "a broken archive": ("feeds/stanford/links.sha1.txt", b"\x1f\x8b\x08" + MARK.encode() * 3),
    "a host that is none": ("feeds/marked/domains.txt", f"{MARK} {MARK}\n".encode()),
}


def said_unattended(root):
    """What the sensor says and remembers of the inputs as they are now, and the notice of the last run that failed."""
    sensor = automation.release_sensor(root, settings.load(root.path))
    with instance(root) as opened:
        first = sensor(dg.build_sensor_context(instance=opened))
        quiet = dataclasses.replace(Memory.read(first.cursor), since=0.0).text()
        second = sensor(dg.build_sensor_context(instance=opened, cursor=quiet))
        run = opened.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]), limit=1)[0]
        told = runs.failures(each.dagster_event for each in opened.all_logs(run.run_id) if each.dagster_event)
    assert "failed with just these inputs" in second.skip_reason.skip_message
    assert second.asset_events
    notice = Notice("canary", run.run_id, run.job_name, told, None)
    return repr([first, second, second.asset_events, dataclasses.asdict(notice), notice.text])


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in list(BAD_LISTS)[2:]]


@pytest.mark.parametrize("name", [*list(BAD_LISTS)[:2], *SLOW])
def test_an_error_about_a_list_quotes_nothing(canary, scan, name):
    root, _, _, _ = canary
    file, content = BAD_LISTS[name]
    path = root.path / file
    whole = path.read_bytes()
    try:
        path.write_bytes(content)
        for outcome in (shared.release(root.path), shared.verify(root.path)):
            assert outcome.exit_code == 1
            assert "Error" in outcome.output
            assert path.name in outcome.output
            assert marks.Scan([*scan[0].needles, *content.split()]).found(outcome.output.encode()) == set()
        said = said_unattended(root)
        assert path.name in said
        assert marks.Scan([*scan[0].needles, *content.split()]).found(said.encode()) == set()
    finally:
        path.write_bytes(whole)
    assert scan[0].in_folder(root.dagster_home) == {}


@pytest.mark.slow
def test_an_error_about_a_shard_quotes_nothing(canary, scan):
    """Columns of other types than their part. Whether it is refused or its rows go (words are no scores): no word."""
    root, _, _, _ = canary
    path = min((root.path / "raw" / "1B-nolang").glob("*.parquet"))
    whole = path.read_bytes()
    table = pq.read_table(path)
    words = pa.array([f"{MARK}{row}" for row in range(len(table))])
    try:
        for name, values in {
            "punsafe": words,
            "URL": words.cast(pa.binary()),
            "md5": pa.array([[MARK]] * len(table)),
            "TEXT": pa.array([{"a": MARK}] * len(table)),
        }.items():
            at = table.schema.get_field_index(name)
            pq.write_table(table.set_column(at, name, values), path)
            outcome = shared.release(root.path)
            assert scan[0].found(outcome.output.encode()) == set()
    finally:
        path.write_bytes(whole)
    assert scan[0].in_folder(root.dagster_home) == {}


def test_an_unexpected_error_quotes_nothing(canary, scan, monkeypatch):
    """Whatever a library says when it fails: our own code passes on its kind and the place, not its words."""
    root, _, _, _ = canary

    def fails(*arguments, **options):
        raise RuntimeError(f"cannot digest https://x.example/{MARK}00 ({hashlib.md5(MARK.encode()).hexdigest()})")

    monkeypatch.setattr(gate, "_evaluate", fails)
    with (root.path / "keywords.txt").open("a", encoding="utf-8") as file:
        file.write("another\n")
    outcome = shared.release(root.path)
    assert outcome.exit_code == 1
    assert "unexpected RuntimeError at verification/gate.py" in outcome.output
    assert scan[0].found(outcome.output.encode()) == set()
    assert scan[0].in_folder(root.dagster_home) == {}
