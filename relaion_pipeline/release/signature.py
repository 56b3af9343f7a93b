"""The signature of a release: Ed25519 over `manifest.json` and `SHA256SUMS`.

What belongs here: the key, making signatures, holding them against a public key. What does not: what else is wrong
with a release (`audit.published`).

Ed25519 is deterministic: one key and the same bytes give the same signature. Two data roots have two keys, so their
releases of the same inputs differ in the files named here and in the checksums of these, and in nothing else.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from relaion_pipeline.layout import (
    PRIVATE_FILE_MODE,
    PUBLIC_FILE_MODE,
    DataRoot,
    make_private,
    write_text,
    written_whole,
)
from relaion_pipeline.release import versions
from relaion_pipeline.release.manifest import CHECKSUMS, MANIFEST

PUBLIC_KEY = "manifest.pub"
MANIFEST_SIGNATURE = f"{MANIFEST}.sig"
CHECKSUMS_SIGNATURE = f"{CHECKSUMS}.sig"
SIGNED = {MANIFEST: MANIFEST_SIGNATURE, CHECKSUMS: CHECKSUMS_SIGNATURE}
"""What is signed, and where its signature stands: 64 raw bytes each."""

UNLISTED = frozenset({CHECKSUMS, CHECKSUMS_SIGNATURE})
"""Files that the checksums cannot name: they are made of them."""


class SignatureError(Exception):
    """The key cannot be used; the message says which file and what to do."""


@dataclass(frozen=True)
class TrustedKey:
    """A public key from elsewhere than the release, and the file it came from."""

    name: str
    public: Ed25519PublicKey


def ensure_key(root: DataRoot) -> Ed25519PrivateKey:
    """The data root's key, made when first needed.

    Raises:
        SignatureError: it is damaged, others may read it, or it signed releases and is gone.
    """
    if root.signing_key.exists():
        return _read_key(root)
    signed = [version for version in versions.released(root) if (root.release(version) / PUBLIC_KEY).exists()]
    if signed:
        raise SignatureError(
            f"{root.signing_key}: the key that signed release {signed[-1]} is gone. Restore it from a backup, or make "
            f"another with `relaion key --new --data {root.path}` and tell everyone who checks your releases"
        )
    return new_key(root)


def new_key(root: DataRoot) -> Ed25519PrivateKey:
    """Make a key; one that was there is kept beside it, under its fingerprint."""
    make_private(root.private)
    if root.signing_key.exists():
        old = fingerprint(public_text(_read_key(root)))
        root.signing_key.rename(root.signing_key.with_name(f"{root.signing_key.name}.{old[:16]}"))
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_text(root.signing_key, private.decode())
    return key


def public_text(key: Ed25519PrivateKey) -> str:
    """The public half, as PEM: what `openssl` and `relaion verify --key` read."""
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def fingerprint(pem: str) -> str:
    """SHA-256 over the 32 bytes of a public key, hexadecimal: what people compare over another channel.

    Raises:
        SignatureError: `pem` holds no Ed25519 public key.
    """
    return hashlib.sha256(_public(pem.encode(), "the key").public_bytes_raw()).hexdigest()


def write_public_key(folder: Path, root: DataRoot) -> None:
    """Put the public key beside the manifest of an unfinished release, before its checksums are taken."""
    write_text(folder / PUBLIC_KEY, public_text(ensure_key(root)), mode=PUBLIC_FILE_MODE)


def sign(folder: Path, name: str, root: DataRoot) -> None:
    """Sign the file `name` of an unfinished release."""
    _sign(folder, name, ensure_key(root), PUBLIC_FILE_MODE)


def sign_again(folder: Path, name: str, root: DataRoot, release: Path) -> None:
    """Sign another form of a file of `release`, private as yet, with the key that the release was signed with.

    Raises:
        SignatureError: the data root does not hold that key.
    """
    enclosed = _enclosed(release)
    key = next((key for _, key in _keys(root) if key.public_key() == enclosed), None)
    if key is None:
        raise SignatureError(
            f"{root.signing_key}: not the key that release {release.name} was signed with; restore that from a backup"
        )
    _sign(folder, name, key, PRIVATE_FILE_MODE)


def _sign(folder: Path, name: str, key: Ed25519PrivateKey, mode: int) -> None:
    with written_whole(folder / SIGNED[name], mode=mode) as temporary:
        temporary.write_bytes(key.sign((folder / name).read_bytes()))


def trusted_key(path: Path) -> TrustedKey:
    """The public key in the file `path`.

    Raises:
        SignatureError: it holds none.
    """
    return TrustedKey(str(path), _public(_read(path), str(path)))


def own_key(root: DataRoot, release: Path) -> TrustedKey | None:
    """The data root's key that `release` says it was signed with, else the key in use; None where there is none."""
    keys = [TrustedKey(str(path), key.public_key()) for path, key in _keys(root)]
    enclosed = _enclosed(release)
    return next((key for key in keys if key.public == enclosed), keys[0] if keys else None)


def _keys(root: DataRoot) -> list[tuple[Path, Ed25519PrivateKey]]:
    """The data root's key, and those that were before it."""
    return [(path, _private(_read(path), path)) for path in sorted(root.private.glob(f"{root.signing_key.name}*"))]


def differences(release: Path, key: TrustedKey | None) -> list[str]:
    """What is wrong with the signatures of a release, by `key`, or by the enclosed one.

    By the enclosed key alone nobody can tell who signed: whoever changes a release can enclose another.
    """
    enclosed = _enclosed(release)
    public = key.public if key else enclosed
    wrong = []
    if enclosed is None:
        wrong.append(f"{PUBLIC_KEY}: missing, or not an Ed25519 public key in PEM")
    elif key is not None and key.public != enclosed:
        wrong.append(f"{PUBLIC_KEY}: another key than {key.name}: signed by someone else, or with a key made anew")
    for name, signature in SIGNED.items():
        if public is None:
            break
        try:
            public.verify((release / signature).read_bytes(), (release / name).read_bytes())
        except OSError as error:
            wrong.append(f"{Path(error.filename).name}: missing or not readable")
        except InvalidSignature:
            by = key.name if key else PUBLIC_KEY
            wrong.append(f"{signature}: not the signature of {name} by the key in {by}")
    return wrong


def _enclosed(release: Path) -> Ed25519PublicKey | None:
    try:
        return _public(_read(release / PUBLIC_KEY), PUBLIC_KEY)
    except SignatureError:
        return None


def _read_key(root: DataRoot) -> Ed25519PrivateKey:
    path = root.signing_key
    content = _read(path)
    if path.stat().st_mode & 0o077:
        raise SignatureError(f"{path}: others may read this key; run `chmod 600 {path}`, or `relaion key --new`")
    return _private(content, path)


def _private(content: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"{path}: not an unencrypted Ed25519 key in PEM; restore it from a backup")
    return key


def _public(content: bytes, name: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(f"{name}: not an Ed25519 public key in PEM")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else type(error).__name__
        raise SignatureError(f"{path.name if path.name == PUBLIC_KEY else path}: cannot be read ({what})") from None
