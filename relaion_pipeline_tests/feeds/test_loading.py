import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from relaion_pipeline.feeds import loading
from relaion_pipeline.feeds.declaration import KINDS_OF_FORMAT
from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline.feeds.formats import READERS
from relaion_pipeline_tests.feeds.conftest import Load, feed_of, rows_of


def test_files_are_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b", "a", ".DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    assert loading.files(feed_of(files="*"), tmp_path) == [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize("pattern", ["nowhere/*", "", "/etc/passwd", "**bad**/[", "a\0b"])
def test_no_file_is_an_error(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(FeedError, match="feed of invented") as caught:
        loading.files(feed_of(files=pattern), tmp_path)
    assert caught.value.__context__ is None


def test_an_unknown_format_lists_the_known() -> None:
    with pytest.raises(ValidationError, match=r"no format 'xls'.*adguard, c3p, csv") as caught:
        feed_of(format="xls")
    assert all(name in str(caught.value) for name in READERS)


@pytest.mark.parametrize(
    ("name", "kind"), [("ncmec", "domain"), ("hosts", "declared"), ("text", "declared"), ("hosts", "link")]
)
def test_a_kind_that_the_format_cannot_hold_is_an_error(name: str, kind: str) -> None:
    with pytest.raises(ValidationError, match=f"format '{name}' does not go with kind '{kind}'"):
        feed_of(format=name, kind=kind)


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_folder_instead_of_a_file_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "list").mkdir()
    kind = min(KINDS_OF_FORMAT[name] - {"image", "link-hash"})
    with pytest.raises(FeedError, match=r"is a folder|no file matches"):
        rows_of(tmp_path, feed_of(format=name, kind=kind))


@pytest.mark.parametrize("name", sorted(READERS))
def test_an_empty_file_holds_no_entries_or_is_an_error(load: Load, name: str) -> None:
    kind = min(KINDS_OF_FORMAT[name] - {"image", "link-hash"})
    if name in {"ncmec", "c3p", "misp", "stix", "stopncii", "tat"}:  # no XML or JSON document is empty
        with pytest.raises(FeedError, match="feed 'invented', domains"):
            load({"domains": b""}, files="domains", format=name, kind=kind)
    else:
        assert load({"domains": b""}, files="domains", format=name, kind=kind) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_an_error(load: Load, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"a.example")
    (tmp_path / "list").chmod(0)
    with pytest.raises(FeedError, match="cannot be opened"):
        rows_of(tmp_path, feed_of())


def test_a_defect_of_a_reader_quotes_nothing(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def defective(*_: object) -> None:
        raise KeyError("secret.example")

    monkeypatch.setattr("relaion_pipeline.feeds.text.read_lines", defective)
    with pytest.raises(FeedError, match="the reader failed") as caught:
        load(b"secret.example")
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
