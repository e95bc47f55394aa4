"""
`/metrics`: how the installation and this gateway do, in Prometheus' text format.

Numbers about syncs are asked of the database while somebody scrapes. No label holds an id of a
team or a connection, or a bank's name.
"""

import hmac
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bank_pipeline.bootstrap import Services
from bank_pipeline.gateway.meters import Meters
from bank_pipeline.gateway.refreshed import Refreshed
from bank_pipeline.storage.engine import build_watcher
from bank_pipeline.storage.figures import Figure, load_figures

FRESH_S: Final = 10.0  # however many scrape, and however often
SCRAPE_S_MAX: Final = 8.0  # Prometheus gives up after ten


@dataclass(frozen=True)
class _Family:
    """A metric: what it is called after `bank_pipeline_`, what it says, and its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ("provider",)


_FAMILIES: Final = {
    "connections": _Family(
        "connections", "Connections, by where they stand.", ("provider", "status")
    ),
    "connections_overdue": _Family(
        "connections_overdue", "Connections synced daily that had no success for 26 hours."
    ),
    "connections_never_synced": _Family(
        "connections_never_synced", "Connections synced daily that never had a success."
    ),
    "connection_age_seconds": _Family(
        "connection_freshness_seconds",
        "Time since the last success of connections synced daily that had one; quantile 1 is "
        "the oldest.",
        ("provider", "quantile"),
    ),
    "consents_ending": _Family(
        "consents_ending",
        "Consents in use that end within so many days, those that should have ended included.",
        ("provider", "within"),
    ),
    "syncs": _Family(
        "syncs_24h",
        "Syncs that ended within the last 24 hours, by what asked for them and how they ended; "
        "running: not ended yet.",
        ("provider", "reason", "outcome"),
    ),
    "sync_failures": _Family(
        "sync_failures_24h",
        "Syncs that failed within the last 24 hours, by class of failure.",
        ("provider", "error_class"),
    ),
    "sync_rows": _Family(
        "sync_transactions_24h",
        "Transactions that syncs of the last 24 hours inserted, updated and removed.",
        ("provider", "change"),
    ),
    "sync_duration_seconds": _Family(
        "sync_duration_seconds_1h",
        "How long syncs took that ended within the last hour; quantile 1 is the longest.",
        ("provider", "quantile"),
    ),
    "webhooks_unhandled": _Family(
        "webhooks_unhandled",
        "Stored webhooks that no sync has covered. due: a sync is missing; deferred: its next "
        "try is planned; stopped: the connection waits for its customer; unknown: of none of ours.",
        ("provider", "state"),
    ),
    "webhook_lag_seconds": _Family(
        "webhook_lag_seconds", "Age of the oldest webhook that is due; 0 when none is."
    ),
    "quota_used_calls": _Family(
        "quota_used_calls",
        "Calls of the last 24 hours that banks count.",
        ("provider", "scope"),
    ),
    "quota_left_calls": _Family(
        "quota_left_calls",
        "Counted calls that are left now, of accounts that were asked within 24 hours.",
        ("provider", "scope"),
    ),
    "quota_exhausted_accounts": _Family(
        "quota_exhausted_accounts",
        "Accounts of which no counted call is left now.",
        ("provider", "scope"),
    ),
    "provider_calls": _Family(
        "provider_calls_24h",
        "All calls to providers within the last 24 hours, by how they ended.",
        ("provider", "outcome"),
    ),
    "provider_paused": _Family(
        "provider_paused", "1 while a provider's syncs are put off because it refuses our keys."
    ),
    "quarantined_rows": _Family(
        "quarantined_rows", "Rows that could not be read and wait for somebody."
    ),
    "consents_to_end": _Family(
        "consents_to_end", "Consents out of use that the provider has not ended yet."
    ),
    "coverage_gaps": _Family(
        "coverage_gaps",
        "Ranges of dates that no complete answer has covered.",
        ("provider", "kind"),
    ),
    "operator_faults": _Family(
        "operator_faults",
        "Failures of runs, connections, checks, webhooks and ticks that last.",
        ("source",),
    ),
    "notices": _Family(
        "notices", "Notices that wait, are being sent, or were given up.", ("state",)
    ),
    "notice_lag_seconds": _Family(
        "notice_lag_seconds", "How long the oldest notice is due; 0 when none is.", ()
    ),
}


@dataclass(frozen=True)
class _Look:
    """What the database said, and how long that took."""

    figures: tuple[Figure, ...]
    took_s: float
    loaded_at_s: float


class _DatabaseFigures(Collector):
    """Tells the last look at the database; a look that failed is told as such."""

    def __init__(self) -> None:
        self.last: _Look | None = None

    def collect(self) -> Iterable[Metric]:
        """Yield every family; without a look only that there is none."""
        look = self.last
        up = 0 if look is None else 1
        yield GaugeMetricFamily(
            "bank_pipeline_database_up", "1 if the database told its figures.", value=up
        )
        if look is None:
            return
        yield GaugeMetricFamily(
            "bank_pipeline_figures_load_seconds",
            "How long the database took to tell its figures.",
            value=look.took_s,
        )
        yield GaugeMetricFamily(
            "bank_pipeline_figures_age_seconds",
            "How old the database's figures are.",
            value=time.monotonic() - look.loaded_at_s,
        )
        found: dict[str, list[Figure]] = defaultdict(list)
        for figure in look.figures:
            found[figure.name].append(figure)
        for key, family in _FAMILIES.items():
            metric = GaugeMetricFamily(
                f"bank_pipeline_{family.name}", family.help, labels=family.labels
            )
            for figure in found[key]:
                metric.add_metric(figure.labels, figure.value)
            yield metric


def metrics_routes(services: Services, meters: Meters) -> list[Route]:
    """Return the route; whoever sends BANK_PIPELINE_METRICS_TOKEN may read it, if it is set."""
    figures = _DatabaseFigures()
    meters.registry.register(figures)
    watcher = build_watcher(services.sync.engine)

    def load() -> _Look:
        begun_s = time.monotonic()
        found = load_figures(watcher, now=services.sync.clock())
        ended_s = time.monotonic()
        return _Look(tuple(found), ended_s - begun_s, ended_s)

    looked = Refreshed("figures", load, fresh_s=FRESH_S)

    async def metrics(request: Request) -> Response:
        if not _may_read(services, request):
            return Response(
                "send the token: Authorization: Bearer …\n",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
                media_type="text/plain",
            )
        figures.last = await looked.get(wait_s=SCRAPE_S_MAX)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(
            encode(meters.registry),
            headers={"Content-Type": content_type, "Cache-Control": "no-store"},
        )

    return [Route("/metrics", metrics, methods=["GET"])]


def _may_read(services: Services, request: Request) -> bool:
    wanted = services.settings.metrics_token
    if wanted is None:
        return True
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    is_equal = hmac.compare_digest(given.strip().encode(), wanted.get_secret_value().encode())
    return is_equal and scheme.lower() == "bearer"
