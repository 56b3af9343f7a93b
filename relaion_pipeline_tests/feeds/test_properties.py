"""Whatever bytes a partner sends: batches or a FeedError, and never an entry in its text."""

import gzip
import io
import random
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relaion_pipeline.feeds.declaration import KINDS_OF_FORMAT
from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline_tests.feeds.conftest import feed_of, rows_of

MARK = "zq7xsecretmark"
"""Stands for an entry: wherever it shows up in a message, an entry would have."""

DEFECT = "which is a defect of it"
MD5 = "0123456789abcdef0123456789abcdef"

SEEDS = [
    f"{MD5}\n{MARK}\n# {MARK}\n\n{MARK}.example/x # y\n",
    f'id,url\n1,"{MARK}.example"\n2,"a ""b"" {MARK}"\n{MARK}\n',
    f"id\turl\n1\t{MARK}.example\n",
    f'{{"url": "{MARK}", "a": [1, 2.5e3, null, true]}}\n"{MARK}"\n',
    f"0.0.0.0 {MARK}.example localhost\n||{MARK}.example^$third-party\n@@||{MARK}^\n",
    f"server=/{MARK}.example/\naddress=/{MARK}/a/0.0.0.0\nacl x dstdomain .{MARK}.example\n*.{MARK}.example\n",
    f"video_md5 {MD5}\npdq {MARK}\nurl https://{MARK}.example/\n",
    f'{{"data": [{{"raw_indicator": "{MARK}", "type": "URI", "status": "MALICIOUS"}}]}}',
    f'{{"hashRecords": [{{"signalType": "URL", "hashValue": "{MARK}", "hashStatus": "Withdrawn"}}]}}',
    f'[{{"hash_digest": "{MARK}", "algorithm": "MD5", "deleted": false}}, {{"md5": "{MD5}", "sha1_base32": "{MARK}"}}]',
    f'{{"objects": [{{"type": "indicator", "pattern": "[url:value = \'{MARK}\'] OR [file:hashes.MD5 = \'{MD5}\']"}}]}}',
    f'{{"Event": {{"Attribute": [{{"type": "filename|md5", "value": "{MARK}|{MD5}", "to_ids": true}}]}}}}',
    f"""<queryResult xmlns="x"><images><image><member id="1">{MARK}</member><id>{MARK}</id><fingerprints>
    <md5>{MD5}</md5><sha1>{MARK}</sha1><pdna>{MARK}</pdna></fingerprints></image><deletedImage>
    <member id="1"/><id>{MARK}</id></deletedImage></images></queryResult>""",
]

CASES = [
    (name, kind)
    for name, kinds in sorted(KINDS_OF_FORMAT.items())
    for kind in sorted(kinds & {"image", "link", "domain", "declared"})
]


def packed(how: str, data: bytes) -> bytes:
    if how == "gzip":
        return gzip.compress(data)
    if how == "zstd":
        return pa.Codec("zstd").compress(data, asbytes=True)
    if how == "zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("urls", data)
        return file.getvalue()
    return data.decode(errors="replace").encode("utf-16") if how == "utf-16" else data


def check_reads(root: Path, name: str, kind: str, data: bytes) -> int:
    """Read `data` as a feed; the number of entries, or -1 where it was refused."""
    (root / "urls").write_bytes(data)
    hashed = {"hash": "md5"} if kind == "image" else {}
    column = {"column": "url"} if name in {"csv", "tsv", "jsonl"} else {}
    feed = feed_of(files="urls", format=name, kind=kind, **hashed, **column)
    refusal = None
    rows = []
    try:
        rows = rows_of(root, feed)
    except FeedError as error:
        refusal = error
    if refusal is not None:
        assert MARK not in str(refusal).lower()
        assert DEFECT not in str(refusal)
        assert (refusal.__context__, refusal.__cause__) == (None, None)
        return -1
    for row in rows:
        assert row["entry"] >= 1
        content = (row["digest"] is not None) + (row["text"] is not None)
        assert content == (row["kind"] not in (None, "unmatchable"))
    numbers = [row["entry"] for row in rows]
    assert numbers == sorted(numbers)
    return len(rows)


def mutated(chance: random.Random) -> bytes:
    """A seed with some bytes changed, cut, doubled or mixed with another seed's."""
    data = bytearray(chance.choice(SEEDS).encode())
    for _ in range(chance.choice([0, 1, 1, 2, 5, 20])):
        at = chance.randrange(len(data) + 1)
        length = chance.choice([1, 1, 2, 8, 40])
        action = chance.randrange(5)
        if action == 0:
            data[at : at + length] = chance.randbytes(length)
        elif action == 1:
            del data[at : at + length]
        elif action == 2:
            data[at:at] = data[at : at + length] * chance.choice([1, 2, 50])
        elif action == 3:
            data[at:at] = chance.choice(
                [b'"', b"\n", b"\r", b"\0", b"\\ud800", b"{", b"[", b"<", b"&x;", b"\xff", b"|"]
            )
        else:
            other = chance.choice(SEEDS).encode()
            start = chance.randrange(len(other))
            data[at:at] = other[start : start + length]
    result = packed(chance.choice(["", "", "", "", "gzip", "zstd", "zip", "utf-16"]), bytes(data))
    if chance.random() < 0.1:
        at = chance.randrange(len(result) + 1)
        result = result[:at] + chance.randbytes(1) + result[at + chance.randrange(3) :]
    return result


@pytest.mark.parametrize(("name", "kind"), CASES)
@settings(max_examples=60, deadline=None)
@example(data=b"")
@example(data=b"\0")
@example(data=b"\n")
@example(data=b'"')
@given(data=st.binary(max_size=300) | st.sampled_from(SEEDS).map(str.encode))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, name: str, kind: str, data: bytes) -> None:
    check_reads(tmp_path_factory.getbasetemp(), name, kind, data)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_mutated_lists(tmp_path: Path, name: str, kind: str) -> None:
    chance = random.Random(f"{name} {kind}")
    assert any(check_reads(tmp_path, name, kind, seed.encode()) > 0 for seed in SEEDS)  # or mutants would test nothing
    for _ in range(100):
        check_reads(tmp_path, name, kind, mutated(chance))


@pytest.mark.slow
def test_fuzz_for_a_minute(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        data = mutated(chance)
        started = time.monotonic()
        check_reads(tmp_path, *chance.choice(CASES), data)
        assert time.monotonic() - started < 5
