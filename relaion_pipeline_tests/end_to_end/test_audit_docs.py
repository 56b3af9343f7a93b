"""The auditor's page: its commands run, and print what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from relaion_pipeline_tests.conftest import copy_of

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n\$ ([^\n]+)\n(.*?)```", PAGE, re.DOTALL)
# What differs from one data root to another: time, run, code, and what follows from the salt that cover is drawn with.
_TIME, _RUN, _CODE = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d\+00:00)?", r"run [0-9a-f-]{36}", r"\+[0-9a-f]{12}"
_DRAWN = r"\b[0-9a-f]{12}\b|\b\d{1,3}(,\d{3})+\b|\b\d{3}\b|\(\d+ rows\)"
MOVING = re.compile(f"{_TIME}|{_RUN}|{_CODE}|{_DRAWN}")


def plain(text: str) -> str:
    return " ".join(MOVING.sub("*", text).split())


def test_there_are_ten_questions() -> None:
    assert re.findall(r"^## (\d+)\.", PAGE, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert len(BLOCKS) >= 10


@pytest.mark.slow
def test_the_commands_print_what_the_page_says(released, tmp_path: Path) -> None:
    copy_of(released.data_root, tmp_path / "demo")
    environment = os.environ | {
        "COLUMNS": "118",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    for command, told in BLOCKS:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        printed = [plain(line) for line in done.stdout.splitlines()]
        for line in told.splitlines():
            assert line == "..." or plain(line) in printed, f"{command}\n{line}\n{done.stdout}{done.stderr}"
        assert done.returncode == ("FAILED" in told)
