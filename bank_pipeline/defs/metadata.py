"""What a partition's materialisation tells the operator. Counts, times and states; nothing else."""

from collections.abc import Iterator

import dagster as dg

from bank_pipeline.sync.reports import SyncReport


def to_materializations(
    report: SyncReport, *, gateway_url: str | None = None
) -> Iterator[dg.AssetMaterialization]:
    """
    Describe one connection's sync, one event per table.

    The metadata is a closed list: no name, number or text of a customer belongs in it.
    """
    shared: dict[str, dg.MetadataValue] = {
        "provider": dg.MetadataValue.text(report.provider.value),
        "institution": dg.MetadataValue.text(report.institution_name or "unknown"),
        "status": dg.MetadataValue.text(report.status.value),
        "history": dg.MetadataValue.text(report.stage.value),
        "reason": dg.MetadataValue.text(report.reason.value),
        "sync_run": dg.MetadataValue.text(report.sync_run_id),
        "depth": dg.MetadataValue.text(report.reach.depth.value),
        "gap_days": dg.MetadataValue.int(report.coverage.gap_days),
        "provider_calls": dg.MetadataValue.int(report.calls_count),
        "quarantined_rows": dg.MetadataValue.int(report.quarantined_count),
        "balance_differences": dg.MetadataValue.int(report.balance_differences_count),
        "duration_s": dg.MetadataValue.float(
            round((report.ended_at - report.started_at).total_seconds(), 3)
        ),
    }
    window = report.window
    asked = "all that changed" if window is None else f"{window.first} to {window.last}"
    shared["window"] = dg.MetadataValue.text(asked)
    if report.calls_left is not None:
        shared["provider_calls_left"] = dg.MetadataValue.int(report.calls_left)
    if report.coverage.until is not None:
        shared["covered_until"] = dg.MetadataValue.text(report.coverage.until.isoformat())
    if report.next_attempt_at is not None:
        shared["next_attempt"] = dg.MetadataValue.timestamp(report.next_attempt_at)
    if gateway_url is not None:
        page = f"{gateway_url.rstrip('/')}/connections/{report.connection_id}"
        shared["connection_page"] = dg.MetadataValue.url(page)
    for step in sorted(report.steps):
        counts = report.of(step)
        yield dg.AssetMaterialization(
            asset_key=step.value,
            partition=report.connection_id,
            metadata={
                "rows_new": counts.inserted,
                "rows_changed": counts.updated,
                "rows_removed": counts.removed,
                "rows_unchanged": counts.unchanged,
                **shared,
            },
        )
