"""kill -9 at random moments of a re-release: the last release, the ledger and the next run bear it."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.ledger import segments
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.ledger.chain import Chain
from relaion_pipeline_tests.ledger.test_chain import differing

MOMENTS = 30
NEXT = "2026-01-02.001"


def command(root: Path) -> list[str]:
    return [*shared.COMMAND, "release", "--data", str(root), "--version", NEXT]


def killed(root: Path, seconds: float) -> bool:
    """Start the re-release and kill it, and all it started, after so long; whether it was still at work."""
    process = subprocess.Popen(
        command(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def assert_whole(folder: Path, before: str) -> None:
    assert shared.tree_digest(folder) == before
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


@pytest.mark.slow
def test_killed_at_random_moments_of_a_re_release(tmp_path: Path) -> None:
    chain = Chain(tmp_path / "first", seed=7, share=0.1)
    first = chain.step().folder
    standing = shared.tree_digest(first)
    rows = chain.random.sample(chain.dataset.shards["x/a"], 4)
    chain.dataset.list_images("images", *(row.md5 for row in rows))  # and all that it listed before is dropped
    chain.dataset.list_links("more", *chain.dataset.shards["y/a"][:3])
    chain.dataset.shards["x/new"] = chain._rows(300)
    chain.dataset.nsfw = {"research_above": 0.9, "research_safe_above": 0.4}
    chain.dataset.write()

    def copy(name: str) -> Path:
        subprocess.run(["cp", "-a", chain.root, tmp_path / name], check=True)
        return tmp_path / name

    undisturbed = copy("undisturbed")
    start = time.monotonic()
    subprocess.run(command(undisturbed), check=True, capture_output=True)
    whole = time.monotonic() - start
    expected = undisturbed / "releases" / NEXT
    draw, at_work = random.Random(30), 0
    while at_work < MOMENTS:
        root = copy("killed")
        start = time.monotonic()
        if not killed(root, whole * draw.uniform(0.2, 1.0)):  # the machine is faster now than it was
            whole = time.monotonic() - start
            shutil.rmtree(root)
            continue
        at_work += 1
        assert_whole(root / "releases" / first.name, standing)
        current = shared.current(root)
        assert current.name in {first.name, NEXT}
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=current, check=True)
        data_root = DataRoot.at(root)
        segments.read(data_root)
        outcome = shared.run("release", "--data", root, *(["--version", NEXT] if current.name != NEXT else []))
        assert outcome.exit_code == 0, outcome.output
        assert shared.current(root).name == NEXT
        assert_whole(root / "releases" / first.name, standing)
        assert [path.name for path in data_root.releases.iterdir() if path.name.startswith(".")] == []
        assert not list(data_root.private.rglob("*.tmp"))
        assert differing(shared.current(root), expected) == []
        assert differing(data_root.ledger, undisturbed / "private" / "ledger") == []
        shutil.rmtree(root)
