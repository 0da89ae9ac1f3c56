"""The fields of a request: what is read, and what is no request at all."""

from __future__ import annotations

import io

import pytest

from gway.web.head import RequestHead


def read(text: bytes, limit: int = 1_000) -> RequestHead:
    return RequestHead(io.BytesIO(text), limit)


def test_names_are_found_in_any_case_and_values_lose_their_edges():
    head = read(b"Host:  a.b \r\nX-Name: caf\xe9\r\n\r\nbody")
    assert head.get("host") == head.getheader("HOST") == "a.b"
    assert head.get("x-name") == "caf\xe9"
    assert head.get("absent", "x") == "x"
    assert head.headers == ["Host: a.b", "X-Name: caf\xe9"]


def test_nothing_behind_the_empty_line_is_taken():
    stream = io.BytesIO(b"Host: a\r\n\r\nbody")
    RequestHead(stream, 100)
    assert stream.read() == b"body"


def test_a_field_that_comes_twice_has_its_first_value_and_both_lines():
    head = read(b"Via: 1\r\nVia: 2\r\n\r\n")
    assert head.get("via") == "1"
    assert head.headers == ["Via: 1", "Via: 2"]


@pytest.mark.parametrize(
    "text",
    [
        b"no colon\r\n\r\n",
        b"Name : space before the colon\r\n\r\n",
        b"A: 1\r\n folded: on\r\n\r\n",
        b": no name\r\n\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: +1\r\n\r\n",
        b"Content-Length: 1_0\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: \xb2\r\n\r\n",
        b"Content-Length:\r\n\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n",
        b'Transfer-Encoding: "chunked"\r\n\r\n',
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"X: a\rTransfer-Encoding: chunked\r\n\r\n",
        b"X: a\0b\r\n\r\n",
        b"X: a\r\r\n\r\n",
        b"X: a\x7fb\r\n\r\n",
    ],
)
def test_what_no_client_means_is_refused(text):
    with pytest.raises(ValueError, match=r"field|length|encoding"):
        read(text)


def test_a_head_has_a_largest_size():
    line = b"A: " + b"x" * 91 + b"\r\n"
    assert read(line + b"\r\n", len(line) + 2).get("a") == "x" * 91
    with pytest.raises(ValueError, match="too large"):
        read(line + b"\r\n", len(line) + 1)
    with pytest.raises(ValueError, match="too large"):
        read(b"x" * 5_000, 100)


def test_a_head_that_is_cut_off_is_not_taken_for_whole():
    with pytest.raises(ConnectionAbortedError):
        read(b"Host: a\r\n")
    with pytest.raises(ConnectionAbortedError):
        read(b"Host: a\r\nCook")
