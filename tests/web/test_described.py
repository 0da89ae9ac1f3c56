"""What the site tells of itself: its API, its figures, its health."""

from __future__ import annotations

from typing import Any

import pytest

from gway import hookimpl
from gway.hookspecs import HealthCheck
from gway.resolver import Gateway

API = '''
from __future__ import annotations
from datetime import datetime
from enum import Enum
from typing import Literal, TYPE_CHECKING
import msgspec
if TYPE_CHECKING:
    from nowhere import Thing

class Kind(Enum):
    A = "a"

class Row(msgspec.Struct):
    id: int
    at: datetime

def api_rows(kind: Kind, limit: int = 10, since: datetime | None = None) -> list[Row]:
    """List the rows.

    The newest come first.

    :param kind: which ones
    :param limit: at most so many
    """

def api_post_row(id: int, payload: dict, mode: Literal["x", "y"] = "x"):
    """Add a row."""

def api_odd() -> Thing: ...

def view_page(): ...
'''


@pytest.fixture
def document(project: Any, site: Any, client: Any) -> Any:
    project("api", API)
    site.mount("api")
    return client.get("/openapi.json").json


def test_each_api_function_is_described_by_its_signature_and_docstring(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    rows = document["paths"]["/api/api/rows"]["get"]
    assert rows["summary"] == "List the rows."
    assert rows["description"] == "The newest come first."
    kind, limit, since = rows["parameters"]
    assert kind["required"]
    assert kind["description"] == "which ones"
    assert limit == {
        "in": "query",
        "name": "limit",
        "required": False,
        "description": "at most so many",
        "schema": {"type": "integer", "default": 10},
    }
    assert since["schema"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert document["components"]["schemas"]["Kind"]["enum"] == ["a"]


def test_results_are_described_by_their_types(document: Any) -> None:
    answer = document["paths"]["/api/api/rows"]["get"]["responses"]["200"]
    schema = answer["content"]["application/json"]["schema"]
    assert schema == {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}
    assert document["components"]["schemas"]["Row"]["required"] == ["id", "at"]


def test_a_function_that_changes_something_takes_a_json_body(document: Any) -> None:
    body = document["paths"]["/api/api/row"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert schema["required"] == ["id", "payload"]
    assert schema["properties"]["mode"]["enum"] == ["x", "y"]
    assert schema["additionalProperties"] is False


def test_a_type_that_cannot_be_read_leaves_a_gap_and_no_error(document: Any) -> None:
    odd = document["paths"]["/api/api/odd"]["get"]
    assert odd["responses"]["200"]["content"]["application/json"]["schema"] == {}


def test_views_are_no_part_of_the_api(document: Any) -> None:
    assert list(document["paths"]) == ["/api/api/odd", "/api/api/row", "/api/api/rows"]


def test_requests_are_counted_by_function_and_never_by_address(
    project: Any, site: Any, client: Any
) -> None:
    project("p", "def view_one(): return 1")
    site.mount("p")
    client.get("/p/one?secret=1")
    client.get("/p/one")
    client.get("/stranger/said/this")
    client.send("BREW", "/p/one")
    text = client.get("/metrics").text
    assert 'gway_http_requests_total{method="GET",route="p.view_one",status="200"} 2.0' in text
    assert 'gway_http_requests_total{method="OTHER",route="other",status="405"} 1.0' in text
    assert 'gway_http_request_seconds_count{route="p.view_one"} 2.0' in text
    assert "stranger" not in text
    assert "secret" not in text


def test_each_gateway_has_figures_of_its_own(gw: Gateway, workspace: Any, client: Any) -> None:
    from gway.web.metrics import Metrics

    other = Gateway(workspace)
    other.service(Metrics).count("x", "GET", 200, 0.1)
    assert 'route="x"' not in client.get("/metrics").text
    other.close()


def test_projects_add_figures_when_they_are_first_asked_for(gw: Gateway, client: Any) -> None:
    from prometheus_client import Gauge

    class Plugin:
        asked = 0

        @hookimpl
        def gway_register_metrics(self, registry: Any) -> None:
            self.asked += 1
            Gauge("fields", "Fields.", registry=registry).set(7)

    plugin = Plugin()
    gw.plugins.register(plugin)
    assert "fields 7.0" in client.get("/metrics").text
    client.get("/metrics")
    assert plugin.asked == 1


def test_hooks_that_failed_are_figures(gw: Gateway, client: Any) -> None:
    class Plugin:
        @hookimpl
        def gway_server_stopping(self, at: Any) -> None:
            raise RuntimeError("no")

    gw.plugins.register(Plugin())
    gw.plugins.emit("gway_server_stopping", at=gw.now())
    assert (
        'gway_hook_failures_total{hook="gway_server_stopping"} 1.0' in client.get("/metrics").text
    )


def test_ready_means_that_every_part_is_well(gw: Gateway, client: Any) -> None:
    class Plugin:
        well = True

        @hookimpl
        def gway_health(self) -> list[HealthCheck]:
            return [HealthCheck("disk", self.well, "detail for the log only")]

    plugin = Plugin()
    gw.plugins.register(plugin)
    assert client.get("/readyz").json == {"status": "ok", "checks": {"disk": "ok"}}
    plugin.well = False
    answer = client.get("/readyz")
    assert (answer.status, answer.json["checks"]) == (503, {"disk": "failed"})
    assert "detail" not in answer.text
    assert client.get("/healthz").status == 200


def test_a_part_that_cannot_say_how_it_is_makes_the_server_not_ready(
    gw: Gateway, client: Any
) -> None:
    class Plugin:
        @hookimpl
        def gway_health(self) -> list[HealthCheck]:
            raise RuntimeError("no answer")

    gw.plugins.register(Plugin())
    answer = client.get("/readyz")
    assert (answer.status, answer.json["checks"]) == (503, {"unanswered": "failed"})
