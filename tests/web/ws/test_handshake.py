"""Handshakes: what is refused is refused by HTTP, what is accepted loses no byte."""

from __future__ import annotations

import base64
from typing import Any

import gevent
import gevent.event
import pytest
import websocket
from gevent import socket

from gway.web.ws import Accept, Refuse, Upgrade, frames
from gway.web.ws.handshake import find_route, own_origin


def refuse(upgrade: Upgrade) -> Refuse:
    """Refuse with the status that the path names."""
    return Refuse(int(upgrade.rest), f"Because {upgrade.rest}.", (("X-Why", "test"),))


# --- refusals -----------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 503])
def test_an_endpoint_refuses_by_status_before_the_upgrade(
    serve: Any, peers: Any, status: int
) -> None:
    peer = peers(serve(refuse).ws_port)
    answer = peer.ask(f"/{status}")
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-why"] == "test"
    assert "sec-websocket-accept" not in answer.headers
    assert peer.read_body() == f"Because {status}.\n".encode()
    assert peer.gone()


BAD_KEYS = ["", "short", "*" * 24, base64.b64encode(b"x" * 15).decode(), "é" * 24, "AAAA, AAAA"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_bad_key_is_a_bad_request_without_a_traceback(
    serve: Any, peers: Any, desk: Any, capfd: Any, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    answer = peers(serve(desk).ws_port).ask(Sec_WebSocket_Key=key)
    assert answer.status == 400
    assert desk.upgrades == []
    assert not [record for record in caplog.records if record.exc_info]
    assert capfd.readouterr().err == ""


BAD_HEADS = {
    "no key": (400, {"drop": "Sec-WebSocket-Key"}),
    "no host": (400, {"drop": "Host"}),
    "no connection header": (400, {"drop": "Connection"}),
    "connection header that keeps": (400, {"Connection": "keep-alive"}),
    "a body": (400, {"Content_Length": "5"}),
    "a chunked body": (400, {"Transfer_Encoding": "chunked"}),
    "no version": (426, {"drop": "Sec-WebSocket-Version"}),
    "an old version": (426, {"Sec_WebSocket_Version": "8"}),
    "no upgrade": (426, {"drop": "Upgrade"}),
    "another upgrade": (426, {"Upgrade": "h2c"}),
}


@pytest.mark.parametrize(("status", "head"), BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_bad_handshake_is_refused_unasked(
    serve: Any, peers: Any, desk: Any, status: int, head: dict[str, str]
) -> None:
    answer = peers(serve(desk).ws_port).ask(**head)
    assert answer.status == status
    assert desk.upgrades == []
    if status == 426 and "Version" in str(head):
        assert answer.headers["sec-websocket-version"] == "13"


RUBBISH = {
    "noise": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a frame": frames.encode(frames.TEXT, b"hello", masked=True) + b"\r\n\r\n",
    "an old HTTP": b"GET / HTTP/9.9\r\n\r\n",
    "a header without colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\n Host: x\r\n\tmore\r\n\r\n",
    "a broken length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    "two hundred headers": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    "a huge header": b"GET / HTTP/1.1\r\nA: " + b"b" * 20_000 + b"\r\n\r\n",
    "a POST upgrade": b"POST / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("data", RUBBISH.values(), ids=RUBBISH)
def test_rubbish_gets_a_client_error_and_no_traceback(
    serve: Any, peers: Any, capfd: Any, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    peer = peers(serve().ws_port)
    peer.send(data)
    assert 400 <= peer.read_head().status < 500
    assert peer.gone()
    assert not [record for record in caplog.records if record.exc_info]
    assert capfd.readouterr().err == ""


def test_a_head_that_is_cut_off_is_not_taken_for_whole(serve: Any, peers: Any, desk: Any) -> None:
    server = serve(desk)
    peer = peers(server.ws_port)
    key = base64.b64encode(b"k" * 16).decode()
    peer.send(
        b"GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\nOrig"
    )
    peer.sock.shutdown(socket.SHUT_WR)
    assert peer.gone()
    assert desk.upgrades == []


def test_an_endpoint_that_fails_answers_500(
    serve: Any, peers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(upgrade: Upgrade) -> Accept:
        raise RuntimeError("secret detail")

    peer = peers(serve(fail).ws_port)
    assert peer.ask().status == 500
    assert b"secret" not in peer.read_body()
    assert "secret detail" in caplog.text


# --- origin -------------------------------------------------------------------

ORIGINS = {
    None: True,
    "http://gateway.example:9000": True,
    "https://gateway.example": True,
    "http://GATEWAY.example:8888": True,
    "http://evil.example": False,
    "http://gateway.example.evil.example": False,
    "http://evil.example/gateway.example": False,
    "http://[::1": False,
    "null": False,
    "": False,
}


@pytest.mark.parametrize(("origin", "own"), ORIGINS.items())
def test_only_pages_of_this_host_may_connect(
    serve: Any, peers: Any, origin: str | None, own: bool
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert peers(serve().ws_port).ask(**headers).status == (101 if own else 403)


def test_an_origin_is_compared_with_every_form_of_host() -> None:
    assert own_origin("http://[::1]:9000", "[::1]:9000")
    assert own_origin("http://127.0.0.1", "127.0.0.1:9000")
    assert not own_origin("http://127.0.0.1", "")


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
CALLERS = {
    "a page under a name that its author's DNS leads here": (403, "evil.example", FIREFOX, True),
    "a page of ours": (101, "gateway.example", FIREFOX, True),
    "a charger with an origin": (101, "cloud.example", "chargepoint/2.1", True),
    "a charger": (101, "cloud.example", "", False),
}


@pytest.mark.parametrize(("status", "host", "agent", "origin"), CALLERS.values(), ids=list(CALLERS))
def test_a_page_needs_a_name_that_is_ours(
    serve: Any, peers: Any, status: int, host: str, agent: str, origin: bool
) -> None:
    server = serve(goes_by=lambda name: name == "gateway.example:9000")
    headers = {"Host": f"{host}:9000", "User_Agent": agent}
    headers |= {"Origin": f"http://{host}:9000"} if origin else {}
    assert peers(server.ws_port).ask(**headers).status == status


# --- subprotocol --------------------------------------------------------------


def pick(upgrade: Upgrade) -> Accept | Refuse:
    if "ocpp1.6" in upgrade.offered:
        return Accept("ocpp1.6", lambda connection: None)
    return Refuse(400, "No subprotocol in common.")


@pytest.mark.parametrize("offer", ["ocpp1.6", "ocpp2.0.1, ocpp1.6", "ocpp1.6,ocpp1.5", " ocpp1.6 "])
def test_the_agreed_subprotocol_is_named(serve: Any, peers: Any, offer: str) -> None:
    answer = peers(serve(pick).ws_port).ask(Sec_WebSocket_Protocol=offer)
    assert (answer.status, answer.headers["sec-websocket-protocol"]) == (101, "ocpp1.6")


@pytest.mark.parametrize("offer", ["ocpp1.66", "xocpp1.6", "OCPP1.6", "ocpp1.6 ocpp1.5", ""])
def test_a_subprotocol_matches_exactly_or_not_at_all(serve: Any, peers: Any, offer: str) -> None:
    assert peers(serve(pick).ws_port).ask(Sec_WebSocket_Protocol=offer).status == 400


def test_an_endpoint_cannot_choose_what_was_not_offered(
    serve: Any, peers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(lambda upgrade: Accept("ocpp1.6", lambda connection: None))
    assert peers(server.ws_port).ask(Sec_WebSocket_Protocol="ocpp2.0.1").status == 500
    assert "not offered" in caplog.text


def test_no_subprotocol_is_named_when_none_is_agreed(serve: Any, peers: Any) -> None:
    server = serve(lambda upgrade: Accept(None, lambda connection: None))
    answer = peers(server.ws_port).ask(Sec_WebSocket_Protocol="ocpp1.6")
    assert answer.status == 101
    assert "sec-websocket-protocol" not in answer.headers


def test_no_compression_is_agreed(serve: Any, peers: Any) -> None:
    answer = peers(serve().ws_port).ask(Sec_WebSocket_Extensions="permessage-deflate")
    assert answer.status == 101
    assert "sec-websocket-extensions" not in answer.headers


# --- what the endpoint is told --------------------------------------------------


def test_an_endpoint_sees_the_request_as_it_was_sent(serve: Any, peers: Any, desk: Any) -> None:
    peers(serve(desk).ws_port).ask(
        "/ocpp/RDAM%20123%2F?token=a%20b",
        Authorization="Basic QUxBRERJTg==",
        Sec_WebSocket_Protocol="b, a",
    )
    (upgrade,) = desk.upgrades
    assert upgrade.path == "/ocpp/RDAM%20123%2F"
    assert upgrade.rest == "ocpp/RDAM%20123%2F"
    assert upgrade.query == "token=a%20b"
    assert upgrade.headers["authorization"] == "Basic QUxBRERJTg=="
    assert (upgrade.remote_addr, upgrade.tls, upgrade.offered) == ("127.0.0.1", False, ("b", "a"))


def test_routes_are_found_by_their_longest_mount() -> None:
    routes: dict[str, Any] = {"/": "root", "/ocpp/csms/": "csms", "/ocpp/csms/v2": "two"}
    assert find_route(routes, "/ocpp/csms/CPX") == ("csms", "CPX")
    assert find_route(routes, "/ocpp/csms/v2/CPX/") == ("two", "CPX/")
    assert find_route(routes, "/ocpp/csms/v2x") == ("csms", "v2x")
    assert find_route(routes, "/ocpp/csms") == ("csms", "")
    assert find_route(routes, "/CPX") == ("root", "CPX")
    assert find_route({"/ocpp/": "x"}, "/ocpp2/CPX") is None  # type: ignore[dict-item]


def test_a_path_without_endpoint_is_not_found(serve: Any, peers: Any) -> None:
    server = serve(routes={"/ocpp/csms/": refuse})
    assert peers(server.ws_port).ask("/anywhere").status == 404


# --- the way over to the engine -------------------------------------------------


def test_frames_sent_with_the_handshake_are_not_lost(serve: Any, peers: Any) -> None:
    peer = peers(serve().ws_port)
    early = [f"early {number}" for number in range(50)]
    peer.ask(extra=b"".join(frames.encode(1, text.encode(), masked=True) for text in early))
    peer.text("late")
    assert [peer.message() for _ in range(51)] == [*early, "late"]


@pytest.mark.parametrize("cut", [1, 3, 6, 9])
def test_half_a_frame_may_come_with_the_handshake(serve: Any, peers: Any, cut: int) -> None:
    peer = peers(serve().ws_port)
    data = frames.encode(1, b"in two parts", masked=True)
    peer.ask(extra=data[:cut])
    peer.send(data[cut:])
    assert peer.message() == "in two parts"


def test_a_large_message_with_the_handshake_comes_whole(serve: Any, peers: Any) -> None:
    peer = peers(serve().ws_port)
    sender = gevent.spawn(peer.ask, extra=frames.encode(1, b"x" * 300_000, masked=True))
    assert sender.get().status == 101
    assert len(peer.message()) == 300_000


def test_websocket_client_talks_to_us(serve: Any) -> None:
    server = serve()

    def talk() -> tuple[str | None, Any, Any]:
        url = f"ws://127.0.0.1:{server.ws_port}/CPX"
        client = websocket.create_connection(url, timeout=10, subprotocols=["ocpp1.6"])
        client.send("hällo")
        answer = client.recv()
        client.send_close(1000)
        opcode, _ = client.recv_data(control_frame=True)
        client.shutdown()
        return client.getsubprotocol(), answer, opcode

    told = gevent.get_hub().threadpool.apply(talk)
    assert told == ("ocpp1.6", "hällo", frames.CLOSE)


def test_a_peer_that_leaves_while_the_endpoint_thinks_opens_nothing(
    serve: Any, peers: Any, until: Any
) -> None:
    asked, leave = gevent.event.Event(), gevent.event.Event()
    opened: list[Any] = []

    def slow(upgrade: Upgrade) -> Accept:
        asked.set()
        leave.wait(10)
        return Accept(None, opened.append)

    server = serve(slow)
    peer = peers(server.ws_port)
    asking = gevent.spawn(peer.ask)
    assert asked.wait(10)
    asking.kill()
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    peer.close()
    leave.set()
    until(lambda: server.door.count == 0)
    assert all(not connection.open for connection in opened)
