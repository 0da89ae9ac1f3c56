"""What Prometheus reads of the central system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gway.projects.ocpp.csms.central import CentralSystem

if TYPE_CHECKING:
    from gway.resolver import Gateway


class Measures:
    """Reads the central system's own counters when they are asked for."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        central = self._gateway.service(CentralSystem)
        events = CounterMetricFamily(
            "ocpp_events", "Messages received and sent, and what was odd.", labels=("event",)
        )
        for name, count in central.counters.as_dict().items():
            events.add_metric((name,), count)
        yield events
        chargers = tuple(central.chargers.values())
        connected = sum(one.connected for one in chargers)
        yield GaugeMetricFamily(
            "ocpp_connected_chargers", "Chargers with an open connection.", value=connected
        )
        held = sum(len(one.ledger) for one in chargers if one.ledger)
        yield GaugeMetricFamily("ocpp_open_transactions", "Transactions under way.", value=held)
        yield GaugeMetricFamily(
            "ocpp_storage_failing",
            "1 while transactions cannot be stored.",
            value=float(central.gate.closed),
        )
