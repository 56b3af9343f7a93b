"""Files: whole or not at all, and private from the start."""

import os
import stat

import pytest

from relaion_pipeline import layout


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_private_folders_are_private_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        folder = layout.make_private(tmp_path / "a" / "b")
        layout.write_text(folder / "c", "text")
    finally:
        os.umask(old)
    assert [mode(path) for path in (folder, folder.parent, folder / "c")] == [0o700, 0o700, 0o600]


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "a"
    with layout.written_whole(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert mode(temporary) == 0o600
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_last_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def fail():
        with layout.written_whole(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_public_file_is_readable(tmp_path):
    layout.write_text(tmp_path / "a", "text", mode=layout.PUBLIC_FILE_MODE)
    assert mode(tmp_path / "a") == 0o644


def test_a_data_root_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert layout.DataRoot.at("data").path == tmp_path / "data"
