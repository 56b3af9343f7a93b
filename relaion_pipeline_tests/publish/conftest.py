"""A released data root with destinations, for every test of its own."""

import pytest

from relaion_pipeline.release.manifest import goes_with
from relaion_pipeline_tests.end_to_end import shared


@pytest.fixture
def root(copied):
    return copied()


@pytest.fixture
def destined(root):
    """Add a destination to the settings of the data root; the gate's record is believed unless told otherwise."""

    def add(to, *, name="mirror", proof="gate", **more):
        path = root.path / "relaion.toml"
        lines = [f"\n[publish.{name}]", f'to = "{to}"', f'proof = "{proof}"']
        lines += [f"{key} = {value}" for key, value in more.items()]
        path.write_text(path.read_text() + "\n".join(lines) + "\n")
        return root

    return add


@pytest.fixture
def publish(root):
    return lambda *options: shared.run("publish", "--data", root.path, *options)


def of_edition(root, edition):
    """Name to bytes of what goes where only one edition goes, from what the publisher's own documents say of it."""
    release = root.current.resolve()
    (own,) = (root.private / "partial").glob(f"{release.name}-*/{edition}")
    return {name: data for name, data in tree(release).items() if goes_with(name, (edition,))} | tree(own)


def tree(folder):
    """Name to bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
