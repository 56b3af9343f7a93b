"""Publishing to object stores: memory, and a real S3 server on loopback, with kills in between."""

import os
import re
import signal
import subprocess
import sys
import time

import boto3
import fsspec
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from relaion_pipeline.publish import stores
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.publish.conftest import tree

BUCKET = "releases"

# Kills the process, as `kill -9` does, when it has sent so many files.
KILLED_AFTER = """
import os, signal, sys
from relaion_pipeline.publish import stores
left, put = int(sys.argv.pop(1)), stores.Remote.put
stores.Remote.workers = 1
def counting(self, item, twin):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    put(self, item, twin)
stores.Remote.put = counting
from relaion_pipeline.cli import main
main()
"""


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """An empty bucket, and the credentials for it in the environment."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "invented-key",
        "AWS_SECRET_ACCESS_KEY": "invented-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server,
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=server)
    client.create_bucket(Bucket=BUCKET)
    yield client
    for name in objects(client):
        client.delete_object(Bucket=BUCKET, Key=name)
    client.delete_bucket(Bucket=BUCKET)


def objects(client):
    """Key to bytes, asked of the server itself."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def expected(root):
    return {f"sets/{shared.VERSION}/{name}": data for name, data in tree(root.current.resolve()).items()}


def counts(outcome):
    found = re.search(r"sent (\d+) files.* (\d+) were there", re.sub(r"\s+", " ", outcome))
    assert found, outcome
    return int(found[1]), int(found[2])


def test_memory(root, destined, publish):
    destined("memory://mirror")
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    store = fsspec.filesystem("memory")
    base = f"/mirror/{shared.VERSION}/"
    assert {path.removeprefix(base): store.cat(path) for path in store.find("/mirror")} == tree(root.current.resolve())
    assert counts(publish().output)[0] == 0


def test_s3(root, destined, publish, bucket):
    destined(f"s3://{BUCKET}/sets")
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    assert objects(bucket) == expected(root)
    assert counts(outcome.output) == (len(expected(root)), 0)
    assert "invented-secret" not in outcome.output + root.publication("mirror").read_text()


@pytest.mark.parametrize("copies", [True, False], ids=["copies", "refuses to copy"])
def test_what_both_editions_hold_is_sent_once(root, destined, publish, bucket, monkeypatch, copies):
    """The store makes the second of the first, where it can; what it made is read back like all else."""
    destined(f"s3://{BUCKET}/sets")
    sent, send = [], s3fs.S3FileSystem._put_file

    async def noting(self, local, remote, *more, **options):
        sent.append(remote.removeprefix(f"{BUCKET}/"))
        await send(self, local, remote, *more, **options)

    async def refusing(self, *arguments, **options):
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", noting)
    if not copies:
        monkeypatch.setattr(s3fs.S3FileSystem, "_cp_file", refusing)
    monkeypatch.setattr(stores.Remote, "workers", 1)
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    everything = expected(root)
    assert objects(bucket) == everything
    assert len(sent) == (len(set(everything.values())) if copies else len(everything))
    assert len(set(everything.values())) < len(everything)
    assert counts(outcome.output) == (len(everything), 0)


def test_s3_killed_half_way_and_resumed(root, destined, publish, bucket):
    destined(f"s3://{BUCKET}/sets")
    everything = expected(root)
    for sent_before, kept in ((0, 7), (7, 5)):
        arguments = [sys.executable, "-c", KILLED_AFTER, str(kept), "publish", "--data", str(root.path)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        there = objects(bucket)
        assert len(there) == sent_before + kept
        assert there.items() <= everything.items()
        assert not any(name.endswith(("SHA256SUMS", "manifest.json")) for name in there), "half a release shows itself"
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    assert counts(outcome.output) == (len(everything) - 12, 12)
    assert objects(bucket) == everything
    assert counts(publish().output) == (0, len(everything))


def test_what_is_there_is_believed_after_reading_only(root, destined, publish, bucket):
    """A lost record, an object of the right size and other bytes, one that was cut short, one that is right."""
    destined(f"s3://{BUCKET}/sets")
    everything = expected(root)
    names = sorted(name for name in everything if name.endswith(".parquet"))
    changed = bytearray(everything[names[0]])
    changed[len(changed) // 2] ^= 1
    for name, data in zip(names, (bytes(changed), everything[names[1]][:-1], everything[names[2]]), strict=False):
        bucket.put_object(Bucket=BUCKET, Key=name, Body=data)
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    assert counts(outcome.output) == (len(everything) - 1, 1)
    assert objects(bucket) == everything


def test_an_object_that_somebody_changes_later_is_sent_again(root, destined, publish, bucket):
    destined(f"s3://{BUCKET}/sets")
    assert publish().exit_code == 0
    name = next(name for name in expected(root) if name.endswith("README.md"))
    bucket.put_object(Bucket=BUCKET, Key=name, Body=b"x" * len(expected(root)[name]))
    assert counts(publish().output)[0] == 1
    assert objects(bucket) == expected(root)


def test_the_checksums_go_last(root, destined, publish, bucket, monkeypatch):
    destined(f"s3://{BUCKET}/sets")
    order, put = [], stores.Remote.put

    def noting(self, item, twin):
        put(self, item, twin)
        order.append(item.name)

    monkeypatch.setattr(stores.Remote, "put", noting)
    assert publish().exit_code == 0
    assert order[-4:] == ["manifest.json.sig", "manifest.json", "SHA256SUMS.sig", "SHA256SUMS"]
    assert len(order) == len(set(order))


def test_what_the_release_does_not_hold_is_told_before_it_shows_itself(root, destined, publish, bucket):
    destined(f"s3://{BUCKET}/sets")
    bucket.put_object(Bucket=BUCKET, Key=f"sets/{shared.VERSION}/stray.parquet", Body=b"x")
    outcome = publish()
    assert outcome.exit_code == 1
    assert "stray.parquet" in outcome.output
    assert not any(name.endswith("SHA256SUMS") for name in objects(bucket))


def test_a_server_that_refuses_is_told_without_secrets(root, destined, publish, bucket):
    destined("s3://no-such-bucket/sets")
    outcome = publish()
    assert outcome.exit_code == 1
    assert "s3://no-such-bucket/sets" in outcome.output
    assert "go on from here" in re.sub(r"\s+", " ", outcome.output)
    assert "invented-secret" not in outcome.output


@pytest.mark.slow
def test_s3_killed_at_any_moment(root, destined, publish, bucket):
    """By the clock, from outside, again and again until one run ends by itself."""
    destined(f"s3://{BUCKET}/sets")
    everything = expected(root)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    for attempt in range(6):
        before = len(objects(bucket))
        running = subprocess.Popen(
            [*shared.COMMAND, "publish", "--data", str(root.path)], env=environment, stdout=subprocess.PIPE
        )
        patience = time.monotonic() + 120
        while running.poll() is None and len(objects(bucket)) < before + 3 + attempt and time.monotonic() < patience:
            time.sleep(0.02)
        running.kill()
        running.wait()
        there = objects(bucket)
        assert there.items() <= everything.items()
        assert there == everything or f"sets/{shared.VERSION}/SHA256SUMS" not in there
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    assert objects(bucket) == everything
