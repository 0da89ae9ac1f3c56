"""The gate: who may come in, and whether a change is the visitor's own wish."""

from __future__ import annotations

from typing import Any

import pytest

from gway.resolver import Gateway, use
from gway.web.auth import Visitor, is_loopback
from gway.web.reply import Problem
from gway.web.routes import Site

from .conftest import Client as client_of

SHOP = """
from gway import access

def view_shelf(): return "shelf"
def view_post_order(item: str): return item
def api_items(): return []
def api_post_item(item: str): return item

@access(role="admin")
def view_safe(): return "money"
"""


@pytest.fixture
def shop(project: Any, site: Any) -> Any:
    project("shop", SHOP)
    site.mount("shop")
    site.gate.bind("127.0.0.1", token="t0ken")
    return site


def test_somebody_on_this_machine_may_do_everything(shop: Any, client: Any) -> None:
    assert client.get("/shop/safe").status == 200
    assert client.post("/shop/order", {"item": "pen"}).status == 200


def test_a_stranger_gets_nothing_but_health_and_static_files(shop: Any, client: Any) -> None:
    client.environ = {"REMOTE_ADDR": "192.0.2.7"}
    closed = """/ /shop /shop/shelf /api/shop/items /metrics /openapi.json /events?topic=a
                /render/shop/shelf /nothing /shop/shelf.json"""
    for path in closed.split():
        answer = client.get(path)
        assert answer.status == 401, path
        assert "shop" not in answer.text.replace(path, "")
    for path in ("/healthz", "/readyz", "/static/gway/gway.css"):
        assert client.get(path).status == 200, path


@pytest.mark.parametrize("header", ["X_FORWARDED_FOR", "FORWARDED", "X_REAL_IP"])
def test_what_a_proxy_on_this_machine_passes_on_is_not_from_this_machine(
    shop: Any, client: Any, header: str
) -> None:
    assert client.get("/shop/shelf", **{header: "127.0.0.1"}).status == 401


def test_behind_a_proxy_that_is_trusted_the_visitors_address_and_scheme_count(
    workspace: Any, project: Any
) -> None:
    project("shop", SHOP)
    (workspace / ".env").write_text("GWAY_WEB_TRUSTED_PROXIES=192.0.2.1, 10.0.0.0/8\n")
    with use(Gateway(workspace)) as gateway:
        site = gateway.service(Site)
        site.mount("shop")
        client = client_of(site)
        client.environ = {"REMOTE_ADDR": "192.0.2.1"}
        passed = {"X_FORWARDED_FOR": "203.0.113.9", "X_FORWARDED_PROTO": "https"}
        assert client.get("/shop/shelf", **passed).status == 401
        site.gate.insecure = True
        site.gate.host = "0.0.0.0"
        answer = client.get("/shop/shelf", HOST="192.0.2.7", **passed)
        assert answer.status == 200
        assert answer.cookies[0].startswith("__Host-gway_")
        assert answer.cookies[0].endswith("; Secure")
        gateway.close()


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8888",
        "127.0.0.1.evil.example",
        "",
        "localhost:1@evil.example",
        "127.0.0.1@evil.example",
        "localhost:evil.example",
        "[::1]evil.example",
        "127.0.0.1%.evil.example",
        "[::1%25evil.example]",
    ],
)
def test_a_foreign_host_name_is_refused(shop: Any, client: Any, host: str) -> None:
    assert client.get("/shop/shelf", HOST=host).status == 403


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "127.9.9.9:80", "[::1]:8888"])
def test_names_of_this_machine_are_its_own(shop: Any, client: Any, host: str) -> None:
    assert client.get("/shop/shelf", HOST=host).status == 200


def test_a_name_that_was_added_is_its_own(shop: Any, client: Any) -> None:
    shop.gate.bind("127.0.0.1", names=["gate.example"])
    assert client.get("/shop/shelf", HOST="Gate.example:8888").status == 200


def test_a_change_needs_the_token_of_this_browser_session(shop: Any, client: Any) -> None:
    mine = client.token()
    other = type(client)(shop)
    theirs = other.token()
    assert mine != theirs
    for token in ("", theirs, mine[:-1], "é"):
        answer = client.post("/shop/order", {"item": "pen", "csrf": token})
        assert (answer.status, answer.headers["x-gway-stale"]) == (403, "csrf")
    assert client.post("/shop/order", {"item": "pen", "csrf": mine}).status == 200


def test_a_form_of_a_name_without_tls_is_told_by_its_token_alone(shop: Any, client: Any) -> None:
    """Browsers send `Origin: null` and, without TLS, no Sec-Fetch-Site but to this machine."""
    shop.gate.bind("127.0.0.1", names=["gate.example"])
    mine = client.token()
    client.origin = "null"
    host = {"HOST": "gate.example:8888"}
    assert client.post("/shop/order", {"item": "pen", "csrf": mine}, **host).status == 200
    assert client.post("/shop/order", {"item": "pen", "csrf": "x"}, **host).status == 403


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"VIA": "1.1 nginx"}, 401),
        ({"VIA": "1.1 gway, 1.1 nginx"}, 401),
        ({"X_FORWARDED_PROTO": "https"}, 401),
        ({"X_FORWARDED_HOST": "gate.example"}, 401),
        ({"CF_CONNECTING_IP": "203.0.113.9"}, 401),
        ({"VIA": "1.1 gway"}, 200),
    ],
)
def test_what_a_proxy_of_this_machine_passes_on_is_not_of_this_machine(
    shop: Any, client: Any, said: dict[str, str], status: int
) -> None:
    assert client.get("/shop/shelf", **said).status == status


def test_a_gateway_beside_this_one_only_looks(shop: Any, client: Any) -> None:
    assert client.get("/api/shop/items", VIA="1.1 gway").status == 200
    assert client.get("/shop/safe", VIA="1.1 gway").status == 403
    client.token()
    assert client.post("/shop/order", {"item": "pen"}, VIA="1.1 gway").status == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://127.0.0.1:8888", "http://127.0.0.1:9999",
     "http://127.0.0.1:8888.evil.example", "null", "http://localhost:8888"],
)  # fmt: skip
def test_a_change_that_another_site_wrote_is_refused(shop: Any, client: Any, origin: str) -> None:
    client.token()
    client.origin = origin
    answer = client.post("/shop/order", {"item": "pen"})
    assert answer.status == 403
    assert "Another site asked for this change." in answer.text


def test_the_browsers_own_word_stands_in_for_an_origin_of_null(shop: Any, client: Any) -> None:
    client.token()
    client.origin = "null"
    assert client.post("/shop/order", {"item": "pen"}, SEC_FETCH_SITE="same-origin").status == 200
    assert client.post("/shop/order", {"item": "pen"}, SEC_FETCH_SITE="cross-site").status == 403


@pytest.mark.parametrize("fetched", ["cross-site", "same-site", "none"])
@pytest.mark.parametrize("origin", ["http://127.0.0.1:8888", None])
def test_what_the_browser_calls_foreign_is_foreign(
    shop: Any, client: Any, fetched: str, origin: str | None
) -> None:
    client.token()
    client.origin = origin
    assert client.post("/shop/order", {"item": "pen"}, SEC_FETCH_SITE=fetched).status == 403


def test_a_browser_without_a_session_changes_nothing(shop: Any, client: Any) -> None:
    token = client.token()
    assert client.post("/shop/order", {"item": "pen", "csrf": token}, COOKIE="").status == 403


def test_a_program_changes_things_with_the_token_of_the_run(shop: Any, client: Any) -> None:
    client.origin = None
    sent = {"item": "pen"}
    assert client.post_json("/api/shop/item", sent, COOKIE="", X_CSRF_TOKEN="").status == 401
    bearer = {"AUTHORIZATION": "Bearer t0ken"}
    answer = client.send("POST", "/api/shop/item", b'{"item":"pen"}', "application/json", bearer)
    assert (answer.status, answer.json) == (200, "pen")


def test_a_wrong_token_is_a_401_even_from_this_machine(shop: Any, client: Any) -> None:
    for header in ("Bearer wrong", "Bearer ", "bearer t0ken0"):
        answer = client.get("/api/shop/items", AUTHORIZATION=header)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/api/shop/items", AUTHORIZATION="bearer t0ken").status == 200


def test_the_session_cookie_is_for_this_browser_alone(shop: Any, client: Any) -> None:
    (cookie,) = client.get("/shop/shelf").cookies
    name, value = cookie.partition(";")[0].split("=", 1)
    assert name == "gway_8888"
    assert len(value) == 43  # 256 bits
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert client.get("/shop/shelf").cookies == []
    fresh = type(client)(shop)
    fresh.environ = {"wsgi.url_scheme": "https"}
    assert fresh.get("/shop/shelf").cookies[0].endswith("; Secure")


def test_once_accounts_exist_everybody_signs_in(shop: Any, client: Any) -> None:
    class Accounts:
        signed_in: Visitor | None = None

        def exist(self) -> bool:
            return True

        def visitor(self, request: Any) -> Visitor | None:
            return self.signed_in

    shop.gate.accounts = accounts = Accounts()
    assert client.get("/shop/shelf").status == 401
    accounts.signed_in = Visitor("ada", "viewer", "account")
    assert client.get("/shop/shelf").status == 200
    assert client.get("/shop/safe").status == 403
    assert client.post("/shop/order", {"item": "pen"}).status == 403
    accounts.signed_in = Visitor("ada", "operator", "account")
    assert client.post("/shop/order", {"item": "pen"}).status == 200


def test_a_public_address_without_accounts_is_refused_unless_spelled_out(site: Any) -> None:
    with pytest.raises(Problem, match="no user account exists") as caught:
        site.gate.bind("0.0.0.0")
    assert "`gway web.auth create-user NAME`" in str(caught.value.hint)
    assert "--insecure" in str(caught.value.hint)
    site.gate.bind("0.0.0.0", insecure=True)


def test_an_insecure_server_answers_to_addresses_but_not_to_foreign_names(
    shop: Any, client: Any
) -> None:
    shop.gate.bind("0.0.0.0", insecure=True)
    client.environ = {"REMOTE_ADDR": "192.0.2.7"}
    assert client.get("/shop/shelf", HOST="192.0.2.1:8888").status == 200
    assert client.get("/shop/shelf", HOST="evil.example:8888").status == 403


@pytest.mark.parametrize(
    "path",
    ["/shop/shelf", "/nothing", "/api/nothing", "/static/gway/gway.css", "/static/no", "/healthz",
     "/shop/order", "/", "/metrics", "/shop/shelf.json", "/render/shop/shelf", "/favicon.ico"],
)  # fmt: skip
def test_every_answer_has_the_security_headers(shop: Any, client: Any, path: str) -> None:
    for answer in (client.get(path), client.send("PUT", path), client.get(path, HOST="evil")):
        headers = answer.headers
        policy = headers["content-security-policy"]
        assert "default-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        if not path.startswith("/static/gway"):
            assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "is_it"),
    [("127.0.0.1", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
     ("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("evil.example", False), ("", False)],
)  # fmt: skip
def test_what_can_only_mean_this_machine(host: str, is_it: bool) -> None:
    assert is_loopback(host) is is_it
