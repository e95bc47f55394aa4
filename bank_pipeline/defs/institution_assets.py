"""The asset `institutions`: the banks that can be linked, one partition per provider."""

from itertools import islice
from typing import Final

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.assets import GROUP, TABLE_KINDS
from bank_pipeline.defs.failures import to_reason
from bank_pipeline.defs.labels import OWNERS
from bank_pipeline.defs.metadata import Metadata, to_metadata
from bank_pipeline.defs.partitions import provider_partitions
from bank_pipeline.domain.connection import Provider
from bank_pipeline.sync.institutions import InstitutionsReport, sync_institutions

_REASONS_MAX: Final = 10  # a provider that changed its shape may have a reason per row


@dg.asset(
    partitions_def=provider_partitions,
    description="One row per bank that a provider offers, with its countries and limits. A "
    "partition is one provider; its live rows equal the provider's list. Banks that are no "
    "longer offered are removed, reversibly. A list that is empty or torn changes nothing.",
    group_name=GROUP,
    kinds=TABLE_KINDS,
    owners=OWNERS,
    metadata={"table": "bank.institutions", "view": "analytics.institutions"},
    tags={"bank/unit": "provider"},
)
def institutions(
    context: dg.AssetExecutionContext, services: dg.ResourceParam[Services]
) -> dg.MaterializeResult[None]:
    """
    Read one provider's banks.

    Not tried again by Dagster: a call retries what passes within seconds, and what does not
    can wait for tomorrow's list.
    """
    try:
        report = sync_institutions(services.sync, Provider(context.partition_key))
    except Exception as error:  # noqa: BLE001  (its words may not be safe to show)
        reason = to_reason(error)
    else:
        return dg.MaterializeResult(metadata=_to_metadata(report))
    raise dg.Failure(reason, allow_retries=False)


def _to_metadata(report: InstitutionsReport) -> Metadata:
    return to_metadata(
        banks_offered=report.offered,
        rows_new=report.inserted,
        rows_changed=report.updated,
        rows_removed=report.removed,
        rows_unchanged=report.unchanged,
        rows_unreadable=report.unreadable_count,
        unreadable=dict(islice(report.unreadable.items(), _REASONS_MAX)) or None,
    )
