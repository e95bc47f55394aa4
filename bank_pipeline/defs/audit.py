"""The audit log is chained as it grows."""

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.labels import UPKEEP
from bank_pipeline.sync.audit import seal_audit


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    metadata=UPKEEP,
    description="Chains what was written to the audit log, every minute.",
)
def audit_sensor(services: dg.ResourceParam[Services]) -> dg.SkipReason:
    """
    Chain the newest entries of the audit log.

    Here and not in a run: a run each minute would write more than what it seals.
    """
    count = seal_audit(services.sync)
    return dg.SkipReason(f"{count} entries were sealed." if count else "All entries are sealed.")
