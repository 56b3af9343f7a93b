"""img2dataset itself writes the copies, from images served on loopback.

It wants pandas below 3 and so cannot share an environment with this project. `RELAION_IMG2DATASET` names the Python
of one of its own, which `.ci/run` makes: `python -m venv i2d && i2d/bin/pip install -r .ci/img2dataset.txt`.
"""

import http.server
import io
import json
import os
import struct
import subprocess
import tarfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline.clean.judging import By, Judge
from relaion_pipeline.release.removal_lists import KINDS, Head, ListWriter, path_of
from relaion_pipeline_tests.clean import copies
from relaion_pipeline_tests.end_to_end import shared

PYTHON = os.environ.get("RELAION_IMG2DATASET")
ROWS = 240

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PYTHON is None, reason="RELAION_IMG2DATASET names no Python")]


def picture(number: int) -> bytes:
    """A PNG of one colour."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    line = b"\0" + bytes([number % 251, number % 241, number % 239]) * 32
    header = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    body = zlib.compress(line * 32)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


class Images(http.server.BaseHTTPRequestHandler):
    """Serves pictures; one in seven is gone."""

    def do_GET(self) -> None:
        number = int(self.path.strip("/").partition(".")[0])
        self.send_response(404 if number % 7 == 0 else 200)
        self.end_headers()
        if number % 7:
            self.wfile.write(picture(number))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class PatientServer(http.server.ThreadingHTTPServer):
    """Lets all of img2dataset's connections wait on a busy machine; by default five may."""

    request_queue_size = 256


@pytest.fixture
def served() -> Iterator[int]:
    with PatientServer(("127.0.0.1", 0), Images) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("form", ["webdataset", "files", "parquet"])
def test_its_own_output(form: str, served: int, tmp_path: Path) -> None:
    links = [f"http://127.0.0.1:{served}/{number}.png" for number in range(ROWS)]
    texts = [f"picture é {number}, \n with a line" for number in range(ROWS)]
    pq.write_table(pa.table({"URL": links, "TEXT": texts}), tmp_path / "in.parquet")
    code = "import img2dataset; from fire import Fire; Fire(img2dataset.download)"
    command = [PYTHON, "-c", code, "--url_list", tmp_path / "in.parquet", "--input_format", "parquet"]
    command += ["--url_col", "URL", "--caption_col", "TEXT", "--output_folder", tmp_path / "copy", "--image_size", "32"]
    command += ["--output_format", form, "--number_sample_per_shard", "100", "--processes_count", "1"]
    command += ["--thread_count", "8", "--timeout", "60", "--retries", "3"]
    answer = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-2_000:]
    gone = set(range(0, ROWS, 5))
    lists = write_lists(tmp_path / "removals", [(links[at], texts[at]) for at in sorted(gone)])
    cleaned = shared.run("clean", tmp_path / "copy", "--removals", lists, "--out", tmp_path / "out", "--jobs", 1)
    assert cleaned.exit_code == 0, cleaned.output
    before, after = content(tmp_path / "copy", form), content(tmp_path / "out", form)
    assert len(before) == sum(number % 7 != 0 for number in range(ROWS))
    stay = {link for number, link in enumerate(links) if number not in gone}
    assert after == {link: each for link, each in before.items() if link in stay}
    for path in sorted((tmp_path / "copy").glob("*.parquet")):
        table = pq.read_table(path)
        keep = pa.array([link in stay for link in table["url"].to_pylist()])
        left = pq.read_table(tmp_path / "out" / path.name)
        assert left.equals(table.filter(keep))
        stats = json.loads((tmp_path / "out" / f"{path.stem}_stats.json").read_text())
        statuses = left["status"].to_pylist()
        assert stats["count"] == len(left)
        assert stats["successes"] == stats["status_dict"]["success"] == statuses.count("success")
        assert stats["failed_to_download"] == statuses.count("failed_to_download")


def content(folder: Path, form: str) -> dict[str, dict[str, bytes]]:
    """Link to the bytes of each of its files."""
    found: dict[str, dict[str, bytes]] = {}
    if form == "parquet":
        for path in folder.glob("*.parquet"):
            for row in pq.read_table(path).to_pylist():
                found |= {row["url"]: {"jpg": row["jpg"]}} if row["jpg"] is not None else {}
        return found
    samples: dict[str, dict[str, bytes]] = {}
    members = (
        ((path.name, path.read_bytes()) for path in folder.glob("*/*") if path.parent.name[0] == "0")
        if form == "files"
        else (each for path in folder.glob("*.tar") for each in copies.tar_members(path).items())
    )
    for name, body in members:
        samples.setdefault(name.partition(".")[0], {})[name.partition(".")[2]] = body
    for sample in samples.values():
        text = sample["json"]
        if form == "webdataset":
            with tarfile.open(fileobj=io.BytesIO(text + bytes(1024))) as tar:
                text = tar.extractfile(tar.getmembers()[0]).read()  # type: ignore[union-attr]
        found[json.loads(text)["url"]] = sample
    return found


def write_lists(folder: Path, pairs: list[tuple[str, str]]) -> Path:
    judge = Judge("salt", By.EITHER, {}, keeps=False, digest="")
    found = judge.keys_of(pa.array([link for link, _ in pairs]), pa.array([text for _, text in pairs]))
    for kind in KINDS:
        path = path_of(folder, "research", kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        with ListWriter(path, Head("d", "research", kind, "salt")) as writer:
            writer.write(np.sort(found[kind]))
    return folder
