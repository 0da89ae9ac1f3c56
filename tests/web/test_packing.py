"""What is compressed on its way, for whom, and what never is."""

from __future__ import annotations

import gzip
import re
from types import SimpleNamespace
from typing import Any

import pytest

from gway.native import in_thread
from gway.web import packing
from gway.web.assets import Fingerprints, Packed
from gway.web.masks import masked, unmasked
from gway.web.packing import GZIPPED, VARY, SharedPage, packed, takes_gzip
from gway.web.page import Page
from gway.web.reply import Reply

CARDS = "<li>Wallbox «Ost» 11 kW</li>" * 100
GZIP = {"ACCEPT_ENCODING": "gzip, deflate, br"}
PROJECT = '''
"""Things with a form."""
from gway.web.reply import Reply

def view_list(rows: int = 200):
    return [{"name": f"CP{n}", "place": "north"} for n in range(rows)]

def view_stream():
    return Reply(iter([b"data: 1\\n\\n" * 500]), content_type="text/event-stream")

def view_picture():
    return Reply(b"\\x89PNG" * 1000, content_type="image/png")

def view_ready():
    import gzip
    return Reply(gzip.compress(b"x" * 9000), headers=[("Content-Encoding", "gzip")])

def api_rows(rows: int = 200):
    return view_list(rows)

def view_post_order(item: str = ""):
    return item
'''


def asking(accepted: str) -> Any:
    return SimpleNamespace(header=lambda name: {"Accept-Encoding": accepted}.get(name, ""))


@pytest.fixture
def things(project: Any, site: Any) -> Any:
    static = {"app.js": "let a = 1;\n" * 500, "pic.png": "no text" * 900, "tiny.css": "a{}"}
    folder = project("things", PROJECT, static=static)
    site.mount("things")
    return folder / "static"


def token_of(text: str) -> str:
    found = re.search(r'name="gway-csrf" content="(\w+)"', text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "path",
    ["/things/list", "/things/list.json", "/things/list.csv", "/api/things/rows",
     "/render/things/list", "/static/things/app.js", "/static/gway/gway.js"],
)  # fmt: skip
def test_texts_are_compressed_for_whoever_takes_that(things: Any, client: Any, path: str) -> None:
    plain, short = client.get(path), client.get(path, **GZIP)
    assert short.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == short.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in plain.headers
    assert len(short.body) < len(plain.body) / 2
    assert int(short.headers["content-length"]) == len(short.body)
    assert short.headers["content-type"] == plain.headers["content-type"]
    head = client.send("HEAD", path, headers=GZIP)
    assert (head.body, head.headers["content-encoding"]) == (b"", "gzip")
    if "csrf" not in plain.text:  # which differs each time
        assert gzip.decompress(short.body) == plain.body
        assert head.headers["content-length"] == short.headers["content-length"]


@pytest.mark.parametrize(
    "path",
    ["/things/list.json?rows=3", "/healthz", "/static/things/tiny.css", "/static/things/pic.png",
     "/things/picture", "/things/stream"],
)  # fmt: skip
def test_pictures_streams_and_short_texts_stay_as_they_are(
    things: Any, client: Any, path: str
) -> None:
    plain, same = client.get(path), client.get(path, **GZIP)
    assert "content-encoding" not in same.headers
    assert same.body == plain.body


def test_what_is_compressed_already_is_not_compressed_again(things: Any, client: Any) -> None:
    assert gzip.decompress(client.get("/things/ready", **GZIP).body) == b"x" * 9000


@pytest.mark.parametrize("foreign", ["cross-site", "same-site"])
def test_what_another_site_asked_for_is_not_compressed(
    things: Any, client: Any, foreign: str
) -> None:
    assert (
        "content-encoding" not in client.get("/things/list", **GZIP, SEC_FETCH_SITE=foreign).headers
    )
    own = client.get("/things/list", **GZIP, SEC_FETCH_SITE="same-origin")
    assert own.headers["content-encoding"] == "gzip"


def test_a_file_that_the_browser_has_is_not_sent_again(things: Any, client: Any) -> None:
    url = "/static/things/app.js"
    plain, short = client.get(url), client.get(url, **GZIP)
    assert plain.headers["etag"] != short.headers["etag"]  # other bytes under the same address
    tag = short.headers["etag"]
    for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(url, **GZIP, IF_NONE_MATCH=named)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag), named
        assert again.headers["vary"] == "Accept-Encoding"
        assert not {"content-encoding", "content-length"} & set(again.headers)
    assert client.get(url, **GZIP, IF_NONE_MATCH=plain.headers["etag"]).status == 200
    (things / "app.js").write_text("let b = 2;\n" * 500)
    assert client.get(url, **GZIP, IF_NONE_MATCH=tag).status == 200


def test_a_file_is_compressed_once_and_what_is_kept_has_a_bound(tmp_path: Any) -> None:
    kept, files = Packed(most_bytes=100), [tmp_path / f"{number}.js" for number in range(4)]
    digests = {}
    for file in files:
        file.write_text(file.name * 400)
        digests[file] = Fingerprints().of(file)
        assert gzip.decompress(kept.of(file, digests[file])) == file.read_bytes()
    first, last = files[0], files[-1]
    assert kept.of(last, digests[last]) is kept.of(last, digests[last])
    last.unlink()
    assert kept.of(last, digests[last])
    for file in files[:-1]:  # others came, and the room is small
        kept.of(file, digests[file])
    with pytest.raises(FileNotFoundError):
        kept.of(last, digests[last])
    changed = kept.of(first, "another")  # kept under no name but its own
    assert changed is not kept.of(first, "another")


def test_each_answer_has_the_token_under_another_mask_and_all_are_accepted(
    things: Any, client: Any
) -> None:
    answers = [client.get("/things/list") for _ in range(2)]
    first, second = (token_of(answer.text) for answer in answers)
    assert first != second
    assert unmasked(first) == unmasked(second)
    for token in (first, second):
        assert client.post("/things/order", {"item": "pen", "csrf": token}).status == 200
    bare = unmasked(first).hex()
    for wrong in (bare, first[:-2], first[:-1] + "x", first + "00", "\u00fc" * 128):
        assert client.post("/things/order", {"item": "pen", "csrf": wrong}).status == 403, wrong


def test_the_token_of_a_fragment_is_masked_too(things: Any, client: Any) -> None:
    client.token()
    sent = [client.get("/things/list", X_GWAY_FRAGMENT="1").headers["x-gway-csrf"] for _ in "ab"]
    assert sent[0] != sent[1]
    assert unmasked(sent[0]) == unmasked(sent[1])


def test_a_mask_comes_off_again_and_hides_each_byte():
    secret, pads = bytes(range(32)), (b"\x00" * 32, b"\xff" * 32)
    assert [unmasked(masked(secret, pad)) for pad in pads] == [secret, secret]
    assert unmasked("0") == unmasked("zz") == unmasked("001122") == unmasked("") == b""


def test_a_long_text_is_compressed_in_a_thread(monkeypatch: pytest.MonkeyPatch):
    aside: list[bytes] = []

    def noted(hub: Any, work: Any) -> bytes:
        aside.append(in_thread(hub, work))
        return aside[-1]

    monkeypatch.setattr(packing, "in_thread", noted)
    for length, times in ((packing.INLINE_BYTES, 0), (packing.INLINE_BYTES + 1, 1)):
        body, headers = packed(asking("gzip"), Reply("x" * length))
        assert isinstance(body, bytes)
        assert (len(gzip.decompress(body)), headers) == (length, [VARY, GZIPPED])
        assert len(aside) == times


def test_a_shared_fragment_is_compressed_once_for_all_who_take_that():
    page = SharedPage.of(Page(CARDS, title="Chargers", status=200))
    (first, headers), (second, _) = (packed(asking("gzip"), Reply(page)) for _ in range(2))
    assert first is second
    assert isinstance(first, bytes)
    assert gzip.decompress(first).decode() == CARDS
    assert headers == [VARY, GZIPPED]
    assert packed(asking("identity"), Reply(page)) == (CARDS.encode(), [VARY])


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("br, GZIP ; q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("", False),
        ("x-gzip2, br", False),
    ],
)
def test_a_browser_says_whether_it_takes_gzip(accepted, takes):
    assert takes_gzip(asking(accepted)) is takes
