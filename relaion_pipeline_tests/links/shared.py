# ruff: noqa: E501  (a table of pieces)
"""Where the shared data lies, and the strategies that several tests draw from."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def shared(*parts: str) -> Path:
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no shared data: {'/'.join(parts)}")
    return path


def shared_json(name: str) -> Any:
    return json.loads(shared("links", name).read_text(encoding="utf-8"))


def real_links() -> dict[str, list[str]]:
    """The links of every shard of the shared data, by file."""
    found = {}
    folder = shared("shards")
    for path in sorted(folder.glob("*.tsv")):
        lines = path.read_text(encoding="utf-8").split("\n")
        found[path.name] = [line.split("\t")[1] for line in lines if "\t" in line]
    for path in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        found[path.name] = [row[key] for row in rows for key in ("image_url", "meta_url", "page_url") if row.get(key)]
    return found


_PIECES = [
    "http://", "https://", "HTTP://", "http:", "//", "/", "\\", "www.", "WWW.", "www.www.", "example", "a", "B", ".", "..",
    ".com", ".co.uk", "1.2.3.4", "0x7f", "[::1]", ":80", ":443", ":8080", "@", "user:pw@", "?", "#", "&", "&amp;", "&copy", "&copy;",
    "&#38;", "&#x26;", "amp;", "=", ";", "%", "%2e", "%2F", "%25", "%32", "%35", "%20", "%C3%A9", "%c3", "%FF", "%00", "%3F", "%23", "%26", "%5C", "é", "ü", "ß", "。",
    "xn--", "xn--mnchen-3ya", " ", "\t", "\n", "\x00", "\x7f", "\ud800", "😀", "'", '"', "<", "{", "|", "^", ".jpg", ".JPG", ".php", "id=1", "/../", "/./", "~", "_", "-", "+", ",", "(", "]",
]  # fmt: skip

ANY_TEXT = (
    st.text()
    | st.text(alphabet=st.characters(max_codepoint=0x10FFFF, exclude_categories=()))
    | st.lists(st.sampled_from(_PIECES), max_size=14).map("".join)
)

_LABEL = st.text(alphabet="abcxyz019-_", min_size=1, max_size=6)
_SEGMENT = st.text(alphabet="abcXYZ019-_.~!$()*+,=:@;", max_size=8)
_END = st.sampled_from(["", "/", ".jpg", ".JPG", ".jpg/", ".php", ".", "/.", ".webm"])
_QUERY = st.sampled_from(
    ["", "?", "?a=1", "?a=1&b=2", "?a=1&amp;b=2", "?x/y/", "?a=/?b=/", "?q&copy=1", "?q&copy", "?Q=A", "?a&&b", "?&a=1"]
)


@st.composite
def nearly_plain(draw: st.DrawFn) -> str:
    """Links on both sides of the border between plain and not."""
    labels = draw(st.lists(_LABEL, min_size=1, max_size=3))
    host = draw(st.sampled_from(["", "www.", "www.www.", "WWW."])) + ".".join(
        [*labels, draw(st.sampled_from(["com", "uk", "x1", "9"]))]
    )
    path = "/".join(draw(st.lists(_SEGMENT, max_size=4)))
    return f"{draw(st.sampled_from(['http', 'https', 'ftp']))}://{host}/{path}{draw(_END)}{draw(_QUERY)}"


def web_links() -> st.SearchStrategy[str]:
    return nearly_plain() | st.builds(lambda host, rest: f"http://{host}.example.com/{rest}", _LABEL, ANY_TEXT)
