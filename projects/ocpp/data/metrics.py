"""Figures of the store for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gway.projects.ocpp.data.store import Store


class StoreMetrics(Collector):
    """Reads the store's counters when they are asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        database = self._store.database
        counts = database.counts
        yield CounterMetricFamily(
            "ocpp_store_units", "Units of work stored.", value=counts["units"]
        )
        yield CounterMetricFamily(
            "ocpp_store_commits", "Commits that stored them.", value=counts["commits"]
        )
        yield CounterMetricFamily(
            "ocpp_store_records", "Transaction records written.", value=self._store.records.written
        )
        yield GaugeMetricFamily(
            "ocpp_store_waiting", "Units that wait for the writer.", value=database.waiting
        )
        yield GaugeMetricFamily(
            "ocpp_store_healthy", "Whether the disk takes writes.", value=database.healthy
        )
