"""Figures of the proxy for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gway.projects.ocpp.proxy.ports import LinkState
from gway.projects.ocpp.proxy.service import Proxy


class ProxyMetrics(Collector):
    """Reads the queue when it is asked for; nothing while there is no remote."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def collect(self) -> Iterator[Metric]:
        forwarder = self._proxy.forwarder
        if forwarder is None:
            return
        status = self._proxy.status()
        lines = tuple(forwarder.lines.values())
        gauges = {
            "pending": ("Messages that wait for the remote.", status["pending"]),
            "oldest_seconds": ("Age of the one that waits longest.", status["oldest_age_s"]),
            "dead": ("Messages that the remote will not take.", status["dead"]),
            "links_up": (
                "Virtual charge points that the remote accepted.",
                sum(line.outlet.state is LinkState.ONLINE for line in lines),
            ),
            "links": ("Virtual charge points.", len(lines)),
            "disk_percent": ("How full the disk of the queue is.", status["disk_percent"]),
            "alarms": ("Alarms that the page of the proxy shows.", len(status["alarms"])),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"ocpp_proxy_{name}", text, value=value)
        yield CounterMetricFamily(
            "ocpp_proxy_possible_duplicates",
            "Messages sent again after their answer was lost.",
            value=status["possible_duplicates"],
        )
        events = CounterMetricFamily(
            "ocpp_proxy_events", "What the virtual charge points did.", labels=("event",)
        )
        counts: Counter[str] = Counter()
        for line in lines:
            counts.update(line.counts)
        for name, count in sorted(counts.items()):
            events.add_metric((name,), count)
        yield events
