"""
What Dagster is told beside an event: the one door, and the closed list of what passes.

Counts, times, states and reasons of ours. No name, number or text of a customer: what is written
here is in Dagster's database, in its UI, and in whatever it is exported to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import dagster as dg

from bank_pipeline.logs.redaction import bounded
from bank_pipeline.sync.reports import SyncReport

Metadata = dict[str, dg.MetadataValue]


@dataclass(frozen=True)
class Table:
    """Rows of ids, times, counts and states."""

    records: Sequence[dg.TableRecord]
    schema: dg.TableSchema


_COUNTS: Final = frozenset(
    {
        *("rows_new", "rows_changed", "rows_removed", "rows_unchanged", "rows_unreadable"),
        *("gap_days", "provider_calls", "provider_calls_left", "quarantined_rows"),
        *("balance_differences", "banks_offered", "found", "connections"),
        *("ended_count", "failed_count", "erased_count", "sent", "pending", "suppressed"),
        *("raw_payloads_deleted", "webhook_events_deleted", "webhook_refusals_deleted"),
        *("link_sessions_expired", "sync_runs_killed", "provider_calls_deleted"),
        *("rate_limits_deleted", "notices_deleted", "events_deleted", "evaluations_deleted"),
        *("runs_deleted", "step_logs_deleted", "runs_of_erased_deleted", "backfills_deleted"),
        *("ended_deleted", "past_deleted", "done", "waiting"),
    }
)
_TEXTS: Final = frozenset(
    {
        *("provider", "institution", "status", "history", "reason", "sync_run", "depth"),
        *("window", "covered_until"),
    }
)
_LABELS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(_COUNTS, (int,)),
    **dict.fromkeys(_TEXTS, (str,)),
    "duration_s": (float,),
    "next_attempt": (datetime,),
    "connection_page": (str,),
    "is_busy": (bool,),
    "failed": (str, dict, int),  # reasons of ours, one or by connection; or how many
    "unreadable": (dict,),
    "missing_keys": (list,),
    "findings": (Table,),
}
"""Every label there may be, and of what kind its value is."""


def to_metadata(**values: object) -> Metadata:
    """
    Return what is told, as Dagster keeps it; what is None is left out.

    A label that is not in the list, or a value of another kind than it says, is a mistake of
    ours, and so an assertion. Texts lose what looks like a secret.
    """
    told: Metadata = {}
    for label, value in values.items():
        kinds = _LABELS.get(label)
        assert kinds is not None, f"{label} is not in the list of what Dagster may be told"
        if value is None:
            continue
        assert type(value) in kinds, f"{label} is told as {type(value).__name__}"
        told[label] = _to_value(label, value)
    return told


def _to_value(label: str, value: object) -> dg.MetadataValue:
    if label == "connection_page":
        return dg.MetadataValue.url(str(value))
    return _MAKERS[type(value)](value)


def _safe(value: object) -> object:
    return value if isinstance(value, int) else bounded(str(value))


_MAKERS: Final[Mapping[type, Callable[[Any], dg.MetadataValue]]] = {
    bool: dg.MetadataValue.bool,
    int: dg.MetadataValue.int,
    float: dg.MetadataValue.float,
    datetime: dg.MetadataValue.timestamp,
    str: lambda text: dg.MetadataValue.text(bounded(text)),
    dict: lambda told: dg.MetadataValue.json({str(key): _safe(told[key]) for key in told}),
    list: lambda told: dg.MetadataValue.json([_safe(one) for one in told]),
    Table: lambda table: dg.MetadataValue.table([*table.records], schema=table.schema),
}


def to_materializations(
    report: SyncReport, *, gateway_url: str | None = None
) -> Iterator[dg.AssetMaterialization]:
    """Describe one connection's sync, one event per table."""
    window, until = report.window, report.coverage.until
    asked = "all that changed" if window is None else f"{window.first} to {window.last}"
    page = None if gateway_url is None else f"{gateway_url.rstrip('/')}/connections/"
    shared = to_metadata(
        provider=report.provider.value,
        institution=report.institution_name or "unknown",
        status=report.status.value,
        history=report.stage.value,
        reason=report.reason.value,
        sync_run=str(report.sync_run_id),
        depth=report.reach.depth.value,
        gap_days=report.coverage.gap_days,
        provider_calls=report.calls_count,
        quarantined_rows=report.quarantined_count,
        balance_differences=report.balance_differences_count,
        duration_s=round((report.ended_at - report.started_at).total_seconds(), 3),
        window=asked,
        provider_calls_left=report.calls_left,
        covered_until=None if until is None else until.isoformat(),
        next_attempt=report.next_attempt_at,
        connection_page=None if page is None else f"{page}{report.connection_id}",
    )
    for step in sorted(report.steps):
        counts = report.of(step)
        rows = to_metadata(
            rows_new=counts.inserted,
            rows_changed=counts.updated,
            rows_removed=counts.removed,
            rows_unchanged=counts.unchanged,
        )
        yield dg.AssetMaterialization(
            asset_key=step.value,
            partition=report.connection_id,
            metadata={**rows, **shared},
        )
