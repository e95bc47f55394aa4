"""
What this one process has answered: counted here, and told by `/metrics`.

Everything about syncs is told by the database instead: it happens in many processes.
"""

from enum import StrEnum
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from bank_pipeline.domain.connection import Provider

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
"""The label of what an outsider made up: labels are kept for ever, so theirs must be few."""

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each, of no use


class WebhookOutcome(StrEnum):
    """
    What became of one delivery.

    STORED: and acknowledged, be it the first time or again. PUT_OFF: to be delivered again, since
    it could not be verified or stored just now.
    """

    STORED = "stored"
    REFUSED = "refused"
    PUT_OFF = "put_off"


class Meters:
    """The counters of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "bank_pipeline_http_requests",
            "Requests that this gateway answered, by route template and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "bank_pipeline_http_request_duration_seconds",
            "From a request's arrival to the first byte of its answer.",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.under_way = Gauge(
            "bank_pipeline_http_requests_in_progress",
            "Requests that this gateway is answering.",
            registry=self.registry,
        )
        self._webhooks = Counter(
            "bank_pipeline_webhook_deliveries",
            "Webhooks that came to this gateway, by what became of them and why.",
            ["provider", "outcome", "reason"],
            registry=self.registry,
        )

    def count_request(self, method: str, route: str, *, status: int, seconds: float) -> None:
        """Count one answer."""
        known = method if method in METHODS else OTHER
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def count_webhook(self, provider: Provider, outcome: WebhookOutcome, reason: str = "") -> None:
        """Count one delivery; `reason` says why one was refused or put off, in words of ours."""
        self._webhooks.labels(provider.value, outcome.value, reason).inc()
