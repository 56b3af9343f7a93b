from pathlib import Path

import pytest

from relaion_pipeline.shards import Shard

REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "shards"


@pytest.fixture
def real_shards() -> Path:
    if not REAL.is_dir():
        pytest.skip("the shared real data is not here")
    return REAL


@pytest.fixture
def shard(tmp_path):
    """Write a file and give it as a shard."""

    def write(name: str, content: bytes, scores: Path | None = None) -> Shard:
        path = tmp_path / name
        path.write_bytes(content)
        return Shard("subset", name.partition(".")[0], path, scores)

    return write
