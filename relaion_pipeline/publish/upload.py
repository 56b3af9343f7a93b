"""Publishing a release: proved first, then sent, then held against what was sent."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from relaion_pipeline import settings
from relaion_pipeline.audit import proof, published
from relaion_pipeline.audit.published import Finding
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.progress import Listener
from relaion_pipeline.publish import contents, state, stores
from relaion_pipeline.publish.contents import CLOSING, Item
from relaion_pipeline.publish.declaration import Destination
from relaion_pipeline.publish.errors import PublishError
from relaion_pipeline.publish.hub import Repository
from relaion_pipeline.publish.state import Record
from relaion_pipeline.publish.stores import Store
from relaion_pipeline.release import records, signature
from relaion_pipeline.verification import gate

_NAMED = 5


@dataclass(frozen=True)
class Delivery:
    """What was sent to one place, or would be."""

    destination: str
    where: str
    sent: tuple[Item, ...]
    there: tuple[Item, ...]  # already, with the right digest


def publish(
    root: DataRoot,
    version: str,
    listener: Listener,
    *,
    dry_run: bool = False,
    only: Sequence[str] = (),
) -> list[Delivery]:
    """Send a release (`current`, or a version) to every destination of the settings, or to those named.

    With `dry_run` nothing is sent and no destination is asked: what counts as there is what was recorded.

    Raises:
        PublishError: the release does not pass, a destination refused, or what lies there is not what was sent.
        NoReleaseError: there is no such release.
    """
    wanted = _destinations(root, only)
    release = proof.folder_of(root, version)
    _refuse_unproved(root, release, wanted, listener)
    deliveries: list[Delivery] = []
    for name, destination in wanted.items():
        if dry_run:
            deliveries += _planned(root, release, name, destination)
        else:
            with state.alone(root, name):
                deliveries += _deliver(root, release, name, destination)
    return deliveries


def _destinations(root: DataRoot, only: Sequence[str]) -> dict[str, Destination]:
    configured = settings.load(root.path).publish
    unknown = [name for name in only if name not in configured]
    if unknown:
        raise PublishError(
            f"no destination is called {unknown[0]}; relaion.toml has: {', '.join(configured) or 'none'}"
        )
    if not configured:
        raise PublishError(
            f"{root.path / settings.SETTINGS_FILE} has no [publish.NAME]: nothing is published until it says where to; "
            "see docs/publish.md"
        )
    for name, destination in configured.items():
        if destination.on_disk:
            folder = stores.folder_of(destination.to, root.path)
            if any(folder.is_relative_to(own) for own in (root.private, root.releases)):
                raise PublishError(f"publish.{name}.to: {folder} is the data root's own; name another folder")
    return {name: each for name, each in configured.items() if not only or name in only}


def _refuse_unproved(root: DataRoot, release: Path, wanted: dict[str, Destination], listener: Listener) -> None:
    """Nothing is sent of a release that `relaion verify` does not pass."""
    if any(destination.proof == "full" for destination in wanted.values()):
        findings = proof.of_release(root, release.name, listener)
    else:
        record, judged = records.read(root, release.name), gate.read_record(root)
        same = False
        if record is not None and judged is not None:
            same = judged.passed and judged.evidence_sha256 == record.evidence_sha256
        by_gate = Finding("the_gate_passed_for_just_this_release", same, "" if same else 'set proof = "full"')
        findings = [*published.examine(release, signature.own_key(root, release)), by_gate]
    failed = [finding for finding in findings if not finding.passed]
    if failed:
        told = "\n".join(f"{finding.name.replace('_', ' ')}: {finding.detail or 'failed'}" for finding in failed)
        raise PublishError(f"release {release.name} fails verification; nothing was sent\n{told}")


def _places(root: DataRoot, release: Path, destination: Destination) -> Iterator[tuple[Store | Repository, list[Item]]]:
    """Where the files go: one place for all editions, or a Hugging Face repository for each."""
    if destination.on_hub:
        for edition in destination.editions:
            place = Repository(destination.repository(edition), release.name, destination.gated)
            yield place, contents.contents(root, release, [edition])
        return
    items = contents.contents(root, release, destination.editions)
    if destination.on_disk:
        yield stores.Folder(stores.folder_of(destination.to, root.path), release.name), items
    else:
        yield stores.Remote(destination.to, release.name, destination.options), items


def _planned(root: DataRoot, release: Path, name: str, destination: Destination) -> Iterator[Delivery]:
    record = Record(root, name, destination.to, release.name)
    editions = [[edition] for edition in destination.editions] if destination.on_hub else [destination.editions]
    for each in editions:
        where = f"hf://datasets/{destination.repository(each[0])}" if destination.on_hub else destination.to
        items = contents.contents(root, release, each)
        there = {item.name for item in items if _recorded(record, where, item)}
        yield Delivery(name, where, *_parted(items, {item.name for item in items} - there))


def _recorded(record: Record, where: str, item: Item) -> bool:
    known = record.sending.files.get(_in_record(where, item))
    return known is not None and known.sha256 == item.sha256


def _in_record(where: str, item: Item) -> str:
    """Repositories of one destination hold files of the same names."""
    return f"{where}/{item.name}" if where.startswith("hf://") else item.name


def _deliver(root: DataRoot, release: Path, name: str, destination: Destination) -> Iterator[Delivery]:
    record = Record(root, name, destination.to, release.name)
    record.begin(tuple(destination.editions))
    for place, items in _places(root, release, destination):
        if isinstance(place, Repository):
            sent = place.send(items, root.parcel(name))
            for item in items:
                record.keep(Item(_in_record(place.where, item), item.path, item.sha256, item.bytes), item.sha256)
        else:
            sent = _send(place, items, record)
        yield Delivery(name, place.where, *_parted(items, sent))
    record.finish()


def _send(store: Store, items: list[Item], record: Record) -> set[str]:
    """Send what is not there; the checksums last, when all that they name is there and right."""
    right: dict[str, str] = {}  # digest -> a file that is there and has it: both editions hold the same bytes

    def one(item: Item) -> str | None:
        sent = _put(store, item, record, right.get(item.sha256))
        right.setdefault(item.sha256, item.name)
        return item.name if sent else None

    data = [item for item in items if item.name not in CLOSING]
    with ThreadPoolExecutor(store.workers) as pool:
        sent = {name for name in pool.map(one, data) if name}
    surplus = sorted(store.names() - {item.name for item in items})
    if surplus:
        raise PublishError(
            f"{store.where}: holds what the release does not ({', '.join(surplus[:_NAMED])}); remove it and run "
            "`relaion publish` again"
        )
    sent |= {name for name in map(one, [item for item in items if item.name in CLOSING]) if name}
    changed = [item.name for item in items if not record.holds(item, store.token(item.name))]
    if changed:
        raise PublishError(f"{store.where}: {changed[0]} was changed while the release was sent; publish it again")
    store.finish()
    return sent


def _put(store: Store, item: Item, record: Record, twin: str | None) -> bool:
    """Make sure that a file is there and right; whether it was sent. What is there is believed after reading only."""
    token = store.token(item.name)
    if record.holds(item, token):
        return False
    if token is not None and store.size(item.name) == item.bytes and store.digest(item.name) == item.sha256:
        record.keep(item, token)
        return False
    store.put(item, twin)
    token = store.token(item.name)
    if token is None or store.digest(item.name) != item.sha256:
        raise PublishError(f"{store.where}: {item.name} did not arrive as it was sent; run `relaion publish` again")
    record.keep(item, token)
    return True


def _parted(items: Sequence[Item], sent: set[str]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    return tuple(i for i in items if i.name in sent), tuple(i for i in items if i.name not in sent)
