"""What is imported is passed over by the garbage collector; what is not imported stays under its eyes."""

import gc
import sys
from pathlib import Path

import pytest

from relaion_pipeline import startup


def test_the_collector_rests_and_passes_over_what_was_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large_library.py").write_text("held = [[] for _ in range(1000)]\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = gc.get_freeze_count()
    with startup.importing():
        assert not gc.isenabled()
        import large_library  # type: ignore[import-not-found]  # noqa: PLC0415
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(large_library.held)
    frozen = gc.get_freeze_count()
    del sys.modules["large_library"]
    again = [[] for _ in range(1000)]  # type: ignore[var-annotated]
    with pytest.raises(ZeroDivisionError), startup.importing():
        raise ZeroDivisionError
    assert gc.isenabled()
    assert gc.get_freeze_count() < frozen + len(again)
