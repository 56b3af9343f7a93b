import base64
import hashlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from relaion_pipeline.feeds import guards, loading
from relaion_pipeline.feeds.errors import FeedError
from relaion_pipeline.feeds.guards import FeedCounts, Guard, check
from relaion_pipeline_tests.feeds.conftest import feed_of

MD5 = [hashlib.md5(b"%d" % n).hexdigest() for n in range(100)]
IMAGE = {"kind": "image", "hash": "md5"}


def judged(root: Path, content: str, *, previous: FeedCounts | None = None, waived=(), **fields) -> FeedCounts:
    (root / "list").write_text(content)
    feed = feed_of(**(IMAGE | fields))
    guard = Guard("invented", feed, previous, waived)
    for batch in loading.load("invented", feed, root):
        guard.see(batch)
    return guard.finish()


def test_counts(tmp_path: Path) -> None:
    content = json.dumps(
        {
            "hashRecords": [
                {"signalType": "VideoMD5", "hashValue": MD5[0], "hashStatus": "Active"},
                {"signalType": "VideoMD5", "hashValue": MD5[1], "hashStatus": "Withdrawn"},
                {"signalType": "ImagePDQ", "hashValue": "x", "hashStatus": "Active"},
                {"signalType": "ImagePDQ", "hashValue": "x", "hashStatus": "Deleted"},
                {"signalType": "URL", "hashValue": "https://a.example/"},
                {"signalType": "VideoMD5", "hashValue": hashlib.md5(b"").hexdigest()},
                {"signalType": "VideoMD5", "hashValue": "secret"},
            ]
        }
    )
    counts = judged(tmp_path, content, format="stopncii", kind="declared", hash=None, max_malformed_share=0.5)
    assert counts == FeedCounts(
        entries=7,
        usable=2,
        malformed=1,
        unmatchable=1,
        withdrawn=2,
        quarantined=1,
        files=1,
        by_kind={"image_md5": 1, "link": 1},
        quarantined_entries=(6,),
    )
    assert FeedCounts.from_json(json.loads(json.dumps(counts.to_json()))) == counts


def test_counts_add_up(tmp_path: Path) -> None:
    counts = judged(tmp_path, "\n".join([*MD5, "x", "0" * 32]), max_malformed_share=0.5)
    assert counts.entries == counts.usable + counts.malformed + counts.quarantined == 102


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing yet\n"])
def test_an_empty_feed_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(FeedError, match=r"feed 'invented' \(list\) is empty; fetch"):
        judged(tmp_path, content)


def test_malformed_entries_are_named_by_line_and_never_shown(tmp_path: Path) -> None:
    content = "\n".join([*MD5[:10], "", *(f"secret{n}" for n in range(7))])
    with pytest.raises(FeedError, match="7 of 17 entries are malformed") as caught:
        judged(tmp_path, content)
    message = str(caught.value)
    assert "first: list, line 12; list, line 13; list, line 14; list, line 15; list, line 16)" in message
    assert "secret" not in message


@pytest.mark.parametrize(("share", "passes"), [(0.0, False), (0.0098, False), (1 / 101, True), (0.5, True)])
def test_the_share_of_malformed_entries_decides(tmp_path: Path, share: float, passes: bool) -> None:
    content = "\n".join([*MD5, "x"])
    if passes:
        assert judged(tmp_path, content, max_malformed_share=share).malformed == 1
    else:
        with pytest.raises(FeedError, match="malformed"):
            judged(tmp_path, content, max_malformed_share=share)


def test_too_few_usable_entries(tmp_path: Path) -> None:
    assert judged(tmp_path, "\n".join(MD5), min_entries=100).usable == 100
    with pytest.raises(FeedError, match=r"99 usable entries, fewer than min_entries = 100 \(.* 1 quarantined"):
        judged(tmp_path, "\n".join([*MD5[:99], "0" * 32]), min_entries=100)


@pytest.mark.parametrize(("usable", "passes"), [(79, False), (80, True), (1000, True)])
def test_a_shrunken_feed_is_refused(usable: int, passes: bool) -> None:
    now, before = FeedCounts(entries=usable, usable=usable), FeedCounts(entries=100, usable=100)
    if passes:
        check("invented", feed_of(max_shrink_share=0.2), now, before)
    else:
        with pytest.raises(FeedError, match="79 usable entries, down from 100"):
            check("invented", feed_of(max_shrink_share=0.2), now, before)


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256"])
@pytest.mark.parametrize("kind", ["image", "link-hash"])
def test_digests_of_placeholders_are_quarantined(tmp_path: Path, name: str, kind: str) -> None:
    contents = guards.EMPTY_CONTENT + guards.MISSING_VALUES + guards.PLACEHOLDER_IMAGES
    lines = [hashlib.new(name, content).hexdigest() for content in contents]
    lines += ["0" * len(lines[0]), "f" * len(lines[0]), hashlib.new(name, b"invented").hexdigest()]
    counts = judged(tmp_path, "\n".join(lines), kind=kind, hash=name)
    assert (counts.quarantined, counts.usable) == (len(lines) - 1, 1)
    assert counts.quarantined_entries == (1, 2, 3, 4, 5)


def test_known_hashes_of_empty_files_are_quarantined(tmp_path: Path, shared_data: Path) -> None:
    listed = json.loads((shared_data / "lists" / "misp_warninglist__empty-hashes.json").read_text())["list"]
    for name, length in (("md5", 32), ("sha1", 40), ("sha256", 64)):
        lines = [value for value in listed if len(value) == length]
        assert len(lines) == 1
        other = hashlib.new(name, b"invented").hexdigest()
        assert judged(tmp_path, "\n".join([*lines, other]), hash=name).quarantined == 1


def test_placeholder_images_are_whole_images() -> None:
    for content in guards.PLACEHOLDER_IMAGES:
        if content.startswith(b"GIF89a"):
            assert struct.unpack("<HH", content[6:10]) == (1, 1)
        else:
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            rest = content[8:]
            while rest:
                (length,) = struct.unpack(">I", rest[:4])
                assert zlib.crc32(rest[4 : 8 + length]) == struct.unpack(">I", rest[8 + length : 12 + length])[0]
                rest = rest[12 + length :]
    assert len(set(guards.PLACEHOLDER_IMAGES)) == len(guards.PLACEHOLDER_IMAGES)
    assert base64.b64encode(guards.PLACEHOLDER_IMAGES[0]).endswith(b"==")


def test_a_waiver_lets_a_quarantined_entry_through(tmp_path: Path) -> None:
    content = "\n".join(["0" * 32, MD5[0], "f" * 32])
    assert judged(tmp_path, content, waived=[3]).quarantined_entries == (1,)


def test_a_waiver_names_the_number_in_the_feed_not_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"{MD5[0]}\n{MD5[1]}\n")
    (tmp_path / "b").write_text("0" * 32 + "\n")
    feed = feed_of(files="?", **IMAGE)
    for waived, quarantined in (((), (3,)), ((1,), (3,)), ((3,), ())):
        guard = Guard("invented", feed, waived=waived)
        for batch in loading.load("invented", feed, tmp_path):
            guard.see(batch)
        assert guard.finish().quarantined_entries == quarantined


def test_what_the_links_package_refuses_is_quarantined_waived_or_not(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("com\na.example\n")
    feed = feed_of()
    guard = Guard("invented", feed, waived=[1])
    (batch,) = loading.load("invented", feed, tmp_path)
    assert guard.see(batch, np.array([True, False])).tolist() == [False, True]
    counts = guard.finish()
    assert (counts.quarantined, counts.quarantined_entries) == (1, (1,))
