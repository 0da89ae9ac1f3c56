"""Counters and timings for Prometheus, in a registry of each gateway's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from gway.web.reply import Reply
from gway.web.sse import Events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from gway.resolver import Gateway

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """What `/metrics` shows: the web server's own figures, and those that projects add."""

    def __init__(self, gw: Gateway) -> None:
        self._gw = gw
        self._asked = False
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "gway_http_requests",
            "Requests answered.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "gway_http_request_seconds",
            "Time to answer a request.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        listeners = Gauge(
            "gway_event_listeners", "Pages that listen to live updates.", registry=self.registry
        )
        listeners.set_function(lambda: gw.service(Events).listeners)
        self.registry.register(_HookFailures(gw))

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        :param route: the function's name, never the address a stranger sent
        """
        known = method if method in _METHODS else "OTHER"
        self.requests.labels(route, known, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        if not self._asked:
            self._asked = True
            self._gw.plugins.emit("gway_register_metrics", registry=self.registry)
        return generate_latest(self.registry)

    def reply(self) -> Reply:
        """Answer `/metrics`."""
        return Reply(self.render(), content_type=CONTENT_TYPE)


class _HookFailures:
    """Reads the plugin host's own counters at the moment they are asked for."""

    def __init__(self, gw: Gateway) -> None:
        self._gw = gw

    def collect(self) -> Iterator[Metric]:
        """Yield the family of hook failures."""
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            "gway_hook_failures", "Subscribers of a hook that raised.", labels=("hook",)
        )
        for hook, times in self._gw.plugins.failures.items():
            family.add_metric((hook,), times)
        yield family
