"""Hugging Face: one gated dataset repository for each edition.

Files go to a branch first, in as many commits as the Hub's client likes, and are checked there; then one commit brings
them all to `main`, which never holds half a release. What the Hub has already it is not sent again: its client asks for
each file's digest, so an upload that was killed goes on where it stopped.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relaion_pipeline.layout import make_private
from relaion_pipeline.publish.contents import Item
from relaion_pipeline.publish.errors import PublishError, plain

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105  (the name of a variable)
ENDPOINT_VARIABLE = "HF_ENDPOINT"

_KIND = "dataset"
_MAIN = "main"
_OF_THE_HUB = frozenset({".gitattributes"})
"""What the Hub puts into every repository."""


@dataclass(frozen=True)
class Repository:
    """One repository, and the release that is to be its content."""

    name: str
    version: str
    gated: str

    @property
    def where(self) -> str:
        return f"hf://datasets/{self.name}"

    def send(self, items: Sequence[Item], parcel: Path) -> set[str]:
        """Make `items` the content of `main`, and return the names of those that were not there before.

        Raises:
            PublishError: the Hub refused, or what lies there is not what was sent.
        """
        with self._refused():
            api = _api()
            self._gate(api)
            before = self._digests(api, _MAIN)
            missing = {item.name for item in items if not _is(item, before.get(item.name))}
            if missing or before.keys() - {item.name for item in items}:
                self._bring(api, items, parcel)
            self._check(api, _MAIN, items)
            api.create_tag(self.name, tag=self.version, repo_type=_KIND, revision=_MAIN, exist_ok=True)
            return missing

    def _gate(self, api: "HfApi") -> None:
        """Make sure that nobody gets a file without asking, before there is any file."""
        api.create_repo(self.name, repo_type=_KIND, exist_ok=True)
        api.update_repo_settings(self.name, repo_type=_KIND, gated="auto" if self.gated == "auto" else "manual")
        gated = api.dataset_info(self.name, expand=["gated"]).gated
        if gated != self.gated:
            raise PublishError(f"{self.where}: access is not gated ('{gated}', not '{self.gated}'); nothing was sent")

    def _bring(self, api: "HfApi", items: Sequence[Item], parcel: Path) -> None:
        from huggingface_hub import CommitOperationCopy, CommitOperationDelete  # noqa: PLC0415  (an extra)

        branch = f"incoming-{self.version}"
        api.create_branch(self.name, branch=branch, repo_type=_KIND, exist_ok=True)
        with _linked(items, parcel):
            api.upload_folder(
                repo_id=self.name,
                repo_type=_KIND,
                revision=branch,
                folder_path=parcel,
                delete_patterns="*",
                commit_message=f"Release {self.version}",
            )
        self._check(api, branch, items)
        head = api.dataset_info(self.name, revision=_MAIN).sha
        there = self._digests(api, _MAIN)
        names = {item.name for item in items}
        changed = [item.name for item in items if not _is(item, there.get(item.name))]
        api.create_commit(
            self.name,
            [
                *(CommitOperationCopy(name, name, src_revision=branch) for name in changed),
                *(CommitOperationDelete(name) for name in sorted(there.keys() - names)),
            ],
            repo_type=_KIND,
            revision=_MAIN,
            parent_commit=head,
            commit_message=f"Release {self.version}",
        )
        api.delete_branch(self.name, branch=branch, repo_type=_KIND)

    def _check(self, api: "HfApi", revision: str, items: Sequence[Item]) -> None:
        there = self._digests(api, revision)
        wrong = sorted(item.name for item in items if not _is(item, there.get(item.name)))
        wrong += sorted(there.keys() - {item.name for item in items})
        if wrong:
            raise PublishError(
                f"{self.where}, revision {revision}: {wrong[0]} is not as sent ({len(wrong)} in all); "
                "run `relaion publish` again"
            )

    def _digests(self, api: "HfApi", revision: str) -> dict[str, str]:
        """What the Hub says of every file: SHA-256 of large ones, git's object id of small ones.

        Both are made of the content, and by them the Hub stores it: it refuses an upload that does not match.
        """
        from huggingface_hub.hf_api import RepoFile  # noqa: PLC0415

        tree = api.list_repo_tree(self.name, repo_type=_KIND, revision=revision, recursive=True)
        files = [entry for entry in tree if isinstance(entry, RepoFile) and entry.path not in _OF_THE_HUB]
        return {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files}

    @contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except PublishError:
            raise
        except Exception as error:  # noqa: BLE001  (of the Hub's client and of what it is made of)
            raise PublishError(
                f"{self.where}: {plain(error)}; run `relaion publish` again to go on from here"
            ) from None


def _api() -> "HfApi":
    try:
        from huggingface_hub import HfApi  # noqa: PLC0415
        from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415
    except ImportError:
        raise PublishError("Hugging Face needs more: pip install 'relaion-pipeline[publish]'") from None
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise PublishError(
            f"{TOKEN_VARIABLE} is not set: a Hugging Face token that may write goes into the environment"
        )
    disable_progress_bars()
    return HfApi(endpoint=os.environ.get(ENDPOINT_VARIABLE), token=token)


def _is(item: Item, digest: str | None) -> bool:
    if digest is None or len(digest) == len(item.sha256):
        return digest == item.sha256
    return digest == _blob_id(item)


def _blob_id(item: Item) -> str:
    """What git calls a file of this content."""
    content = item.path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def _linked(items: Sequence[Item], parcel: Path) -> Iterator[None]:
    """A folder of hard links to just these files: the Hub's client sends all that it finds."""
    shutil.rmtree(parcel, ignore_errors=True)
    make_private(parcel)
    try:
        for item in items:
            path = parcel / item.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(item.path)
        yield
    finally:
        shutil.rmtree(parcel, ignore_errors=True)
