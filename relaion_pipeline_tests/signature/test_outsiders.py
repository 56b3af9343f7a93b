"""`relaion verify FOLDER`: what someone finds out who has a release and nothing else."""

import hashlib
import json
import re
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import signature
from relaion_pipeline_tests.end_to_end import shared


@pytest.fixture
def bare(released, tmp_path):
    """A release without its data root, its files linked like the original's."""
    subprocess.run(["cp", "-a", shared.current(released.data_root), tmp_path / "bare"], check=True)
    return tmp_path / "bare"


@pytest.fixture
def publisher(released, tmp_path):
    """The public key, got another way."""
    shutil.copyfile(shared.current(released.data_root) / "manifest.pub", tmp_path / "publisher.pub")
    return tmp_path / "publisher.pub"


def verify(folder, *options):
    done = shared.run("verify", folder, *options)
    told = " ".join(re.sub(r"\s+", " ", line) for line in done.output.splitlines())
    return done.exit_code, re.sub(r"\s+", "", told)


def fails(folder, *named, options=()):
    status, told = verify(folder, *options)
    assert status == 1, told
    for name in named:
        assert name.replace(" ", "") in told, told


def first(folder, edition="research-safe"):
    return min((folder / edition).rglob("*.parquet"))


def alone(path):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    return path


def resigned(folder, root):
    """What a forger does who has a key of their own: digests, manifest, checksums and signatures all agree."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    for each in content["files"]:
        data = (folder / each["path"]).read_bytes()
        each["sha256"], each["bytes"] = hashlib.sha256(data).hexdigest(), len(data)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    signature.write_public_key(folder, root)
    signature.sign(folder, "manifest.json", root)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    kept = [name for name in names if name not in signature.UNLISTED]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in kept]
    (folder / "SHA256SUMS").write_text("".join(lines))
    signature.sign(folder, "SHA256SUMS", root)


def test_passes_without_data_root_and_without_what_the_pipeline_needs(bare, publisher):
    code = (
        "import sys\n"
        "for name in ('dagster', 'great_expectations', 'matplotlib', 'fsspec', 'huggingface_hub', 'yaml',\n"
        "             'openlineage', 'in_toto_attestation', 'google.protobuf'):\n"
        "    sys.modules[name] = None\n"
        "from relaion_pipeline.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "verify", str(bare), "--key", str(publisher)]
    done = subprocess.run(command, cwd=bare.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 5 checks passed" in done.stdout


def test_without_a_key_it_says_that_nobody_vouches(bare):
    status, told = verify(bare)
    assert status == 0
    assert "--key" in told


@pytest.mark.parametrize("which", ["research-safe", "manifest.json", "README.md", "SHA256SUMS"])
def test_a_flipped_byte(bare, publisher, which):
    path = alone(first(bare) if which == "research-safe" else bare / which)
    content = bytearray(path.read_bytes())
    at = content.index(b'"title": "') + 10 if which == "manifest.json" else len(content) // 2
    content[at] ^= 1
    path.write_bytes(content)
    fails(bare, path.name, options=["--key", publisher])


@pytest.mark.parametrize(
    "name", ["research-safe", "manifest.json", "manifest.json.sig", "manifest.pub", "SHA256SUMS", "SHA256SUMS.sig"]
)
def test_a_missing_file(bare, name):
    path = first(bare) if name == "research-safe" else bare / name
    path.unlink()
    fails(bare, path.name)


def test_an_unexpected_file(bare):
    (bare / "research" / "more.parquet").write_bytes(first(bare).read_bytes())
    fails(bare, "research/more.parquet")


def test_a_foreign_signature(bare, publisher, tmp_path):
    """A forger's release is whole in itself; held against the publisher's key it is not."""
    resigned(bare, DataRoot.at(tmp_path / "forger"))
    assert verify(bare)[0] == 0
    fails(bare, "manifest.pub", "manifest.json.sig", "SHA256SUMS.sig", options=["--key", publisher])


def test_a_signature_of_something_else(bare, publisher):
    shutil.copyfile(bare / "SHA256SUMS.sig", alone(bare / "manifest.json.sig"))
    fails(bare, "manifest.json.sig", options=["--key", publisher])


@pytest.mark.parametrize("value", [0.451, None, float("nan"), 1.5])
def test_a_row_above_the_threshold_or_without_score_by_a_careful_forger(released, bare, tmp_path, value):
    """All digests agree, in both editions: the rows themselves tell."""
    path = first(bare)
    twin = bare / "research" / path.relative_to(bare / "research-safe")
    table = pq.read_table(path)
    place = table.schema.get_field_index("punsafe")
    scores = table["punsafe"].to_pylist()
    changed = pa.array([value, *scores[1:]], table.schema.field(place).type)
    copy = tmp_path / "changed.parquet"
    pq.write_table(table.set_column(place, table.schema.field(place), changed), copy)
    for each in (path, twin):
        each.unlink()
        shutil.copyfile(copy, each)
    resigned(bare, DataRoot.at(released.data_root))
    word = "above 0.45" if value == 0.451 else "without a score"
    fails(bare, f"{path.relative_to(bare).as_posix()}: 1 rows {word}")


def test_nesting_that_does_not_hold(released, bare):
    path = bare / "manifest.json"
    content = json.loads(path.read_text())
    content["files"] = [
        each for each in content["files"] if each["path"] != f"research/{first(bare).parent.name}/" + first(bare).name
    ]
    path.write_text(json.dumps(content))
    fails(bare, f"{first(bare).relative_to(bare).as_posix()}: not part of research")


def test_one_edition_alone_must_be_asked_for(bare, publisher):
    shutil.rmtree(bare / "research")
    shutil.rmtree(bare / "removals" / "research", ignore_errors=True)
    fails(bare, "research/")
    assert verify(bare, "--key", publisher, "--edition", "research-safe")[0] == 0
    first(bare).unlink()
    fails(bare, "research-safe/", options=["--edition", "research-safe"])


def test_what_is_no_release_and_what_is_no_key(bare, tmp_path):
    fails(tmp_path / "nothing", "manifest.json")
    (tmp_path / "no.pub").write_text("no key")
    fails(bare, "no.pub", options=["--key", tmp_path / "no.pub"])


def test_the_whole_proof_holds_the_signature_too(copied):
    root = copied()
    (root.current.resolve() / "manifest.json.sig").write_bytes(bytes(64))
    done = shared.run("verify", "--data", root.path)
    assert done.exit_code == 1
    assert "manifest.json.sig" in re.sub(r"\s+", "", done.output)
