"""The signature of a release: with standard tools, deterministic, and no way round it."""

import shutil
import stat
import subprocess

import pytest

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import signature
from relaion_pipeline.release.signature import SignatureError
from relaion_pipeline_tests.end_to_end import shared


def openssl(folder, name):
    """The command of docs/verify.md."""
    command = f"openssl pkeyutl -verify -pubin -inkey manifest.pub -rawin -in {name} -sigfile {name}.sig"
    return subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS"])
def test_openssl_accepts_it_and_refuses_changed_files(released, tmp_path, name):
    folder = shutil.copytree(shared.current(released.data_root), tmp_path / "copy")
    done = openssl(folder, name)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert openssl(folder, name).returncode == 1


def test_the_key_is_private_and_never_released(released):
    root = DataRoot.at(released.data_root)
    assert stat.S_IMODE(root.signing_key.stat().st_mode) == 0o600
    secret = root.signing_key.read_text().splitlines()[1]
    for path in root.releases.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_one_key_signs_the_same_bytes_alike_and_another_key_only_differs(tmp_path):
    roots = [DataRoot.at(tmp_path / name) for name in ("one", "other")]
    signatures = []
    for root in [*roots, roots[0]]:
        folder = tmp_path / f"release-{len(signatures)}"
        folder.mkdir()
        (folder / "manifest.json").write_text("{}")
        signature.sign(folder, "manifest.json", root)
        signatures.append((folder / "manifest.json.sig").read_bytes())
    assert [len(each) for each in signatures] == [64, 64, 64]
    assert signatures[0] == signatures[2] != signatures[1]


def test_the_command_shows_one_key_and_makes_another_on_demand(tmp_path):
    root = DataRoot.at(tmp_path)
    first = shared.run("key", "--data", tmp_path)
    assert first.stdout.startswith("-----BEGIN PUBLIC KEY-----")
    assert signature.fingerprint(first.stdout) in first.stderr
    assert shared.run("key", "--data", tmp_path).stdout == first.stdout
    renewed = shared.run("key", "--new", "--data", tmp_path)
    assert renewed.stdout != first.stdout
    kept = sorted(path.name for path in root.private.glob("signing.key*"))
    assert kept == ["signing.key", f"signing.key.{signature.fingerprint(first.stdout)[:16]}"]


def test_init_makes_the_key(tmp_path):
    assert shared.run("init", tmp_path / "new").exit_code == 0
    assert DataRoot.at(tmp_path / "new").signing_key.exists()


def test_releases_signed_before_a_new_key_still_verify(released, copied):
    root = copied()
    signature.new_key(root)
    folder = root.current.resolve()
    assert signature.differences(folder, signature.own_key(root, folder)) == []


@pytest.mark.parametrize("trouble", ["lost", "readable", "damaged", "foreign"])
def test_a_key_that_cannot_be_trusted_signs_nothing(copied, trouble):
    root = copied()
    if trouble == "lost":
        root.signing_key.unlink()
    elif trouble == "readable":
        root.signing_key.chmod(0o640)
    elif trouble == "damaged":
        root.signing_key.write_text("no key")
    else:
        shutil.copyfile(root.current / "manifest.pub", root.signing_key)
    with pytest.raises(SignatureError, match=r"signing\.key") as raised:
        signature.ensure_key(root)
    assert "PRIVATE" not in str(raised.value)
