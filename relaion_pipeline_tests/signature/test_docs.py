"""The commands of docs/verify.md and the settings of docs/publish.md are run, not believed."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from relaion_pipeline.publish.declaration import Destination
from relaion_pipeline_tests.end_to_end import shared

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_the_commands_for_outsiders_pass(released):
    block = re.findall(r"```sh\n(.*?)```", (DOCS / "verify.md").read_text(), re.DOTALL)[1]
    for command in block.strip().splitlines():
        done = subprocess.run(
            command.split(), cwd=shared.current(released.data_root), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_the_settings_for_publishing_are_accepted():
    block = re.findall(r"```toml\n(.*?)```", (DOCS / "publish.md").read_text(), re.DOTALL)[0]
    destinations = tomllib.loads(re.sub(r"^# (options)", r"\1", block, flags=re.MULTILINE))["publish"]
    assert {name: Destination(**each).on_disk for name, each in destinations.items()} == {
        "mirror": True,
        "store": False,
        "hub": False,
    }
