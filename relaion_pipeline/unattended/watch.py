"""Looking at a data root's inputs again and again: which files lie there, and for how long they were left alone.

What belongs here: what can be told cheaply and at any moment, also while files are being copied in. What does not:
whether a release is due (`decision`).

The states told of here end up in run tags and in a sensor's cursor, which the UI shows: they are keyed, since who holds
the source could try every link of it against the plain digest of a short list.
"""

import hmac
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from relaion_pipeline.feeds import compiling, loading
from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline.provenance import key_of
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.screening.keywords import KeywordError
from relaion_pipeline.settings import SETTINGS_FILE
from relaion_pipeline.shards import ShardError

_SHOWN = 16


@dataclass(frozen=True)
class Sight:
    """The input files as they lie there: names, sizes and times, nothing of their content."""

    fingerprint: str
    newest: float  # when the file changed last was, in seconds since 1970


@dataclass(frozen=True)
class Memory:
    """What is remembered from one look to the next."""

    fingerprint: str = ""
    since: float = 0.0  # when it was seen first, in seconds since 1970
    reported: dict[str, str] = field(default_factory=dict)  # feed -> keyed digest of the files last reported

    @classmethod
    def read(cls, text: str | None) -> "Memory":
        """What `text` tells; a lost or broken memory only means that the quiet period starts again."""
        try:
            return cls(**json.loads(text or ""))
        except (ValueError, TypeError):
            return cls()

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def after(self, sight: Sight, now: float) -> "Memory":
        """The memory after one more look."""
        if sight.fingerprint == self.fingerprint:
            return self
        return Memory(sight.fingerprint, now, self.reported)


def look(inputs: Inputs) -> Sight:
    """Look at all input files; a file that vanishes meanwhile, or a list that is missing, is part of what is seen."""
    seen: list[object] = []
    newest = 0.0
    for listed in _listings(inputs):
        try:
            paths = list(listed())
        except _UNREADABLE as error:
            seen.append(_told(error))
            continue
        for path in paths:
            try:
                status = path.stat()
            except OSError as error:
                seen.append([str(path), error.errno])
                continue
            seen.append([str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino])
            newest = max(newest, status.st_ctime)
    return Sight(key_of(seen), newest)


_UNREADABLE = (FeedError, ShardError, KeywordError, OSError)


def _told(error: Exception) -> str:
    """What an error says of inputs; of one that the system raised, its kind."""
    return f"inputs cannot be listed ({type(error).__name__})" if isinstance(error, OSError) else str(error)


def files(inputs: Inputs) -> Iterator[Path]:
    """Every input file.

    Raises:
        FeedError, ShardError: a feed or a subset has none, or names do not pair; or OSError.
    """
    for listed in _listings(inputs):
        yield from listed()


def _listings(inputs: Inputs) -> Iterator[Callable[[], Iterable[Path]]]:
    """What lists the input files, a function for each feed and subset."""
    root, settings = inputs.root.path, inputs.settings
    yield lambda: (root / SETTINGS_FILE, root / settings.nsfw.keywords)
    for feed in settings.feeds.values():
        yield partial(loading.files, feed, root)
    for subset in settings.subsets:
        yield partial(_shard_files, inputs, subset)


def _shard_files(inputs: Inputs, subset: str) -> Iterator[Path]:
    for shard in inputs.find(subset):
        yield shard.path
        if shard.scores is not None:
            yield shard.scores


@dataclass(frozen=True)
class Reading:
    """How far new files were read."""

    whole: bool
    problem: str | None = None  # why the inputs cannot be read; holds no entry
    changing: bool = False  # they changed while they were read, which may be the whole problem


def digest(inputs: Inputs, seen: Sight, seconds: float) -> Reading:
    """Digest what is new for at most about `seconds`. What was digested is not read again."""
    until = time.monotonic() + seconds
    try:
        for path in files(inputs):
            if time.monotonic() > until:
                return Reading(whole=False)
            inputs.digests.sha256(path)
        inputs.keywords.digest  # noqa: B018  (a file that can be read may hold no keyword)
    except _UNREADABLE as error:
        return Reading(whole=True, problem=_told(error), changing=look(inputs).fingerprint != seen.fingerprint)
    return Reading(whole=True)


def state(inputs: Inputs, problem: str | None = None) -> str:
    """A name for the inputs as they are now: equal for equal content, or where they cannot be read for one `problem`.

    Raises:
        FeedError, ShardError, KeywordError: an input cannot be read, and `problem` does not say so.
    """
    return _keyed(inputs, key_of(problem) if problem else inputs.sha256)


def changed_feeds(inputs: Inputs) -> dict[str, str]:
    """Feeds whose files are not those that were compiled last, with a name for their content.

    Raises:
        FeedError, ShardError: a list cannot be read.
    """
    changed = {}
    for name, feed in inputs.settings.feeds.items():
        found = compiling.files_of(feed, inputs.root, inputs.digests)
        compiled = compiling.read_header(inputs.root.compiled_feed(name))
        if compiled is None or compiled.files != found:
            changed[name] = _keyed(inputs, key_of(found))
    return changed


def _keyed(inputs: Inputs, sha256: str) -> str:
    return hmac.digest(compiling.salt_of(inputs.root), sha256.encode(), "sha256").hex()[:_SHOWN]
