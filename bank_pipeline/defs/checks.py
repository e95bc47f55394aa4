"""The check on `balances`: does what the banks tell go with the rows that they show."""

from collections import Counter
from typing import Final

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.storage.balance_checks import ListedDifference, list_differences

SHOWN_MAX: Final = 200  # rows of the table; the view has them all


@dg.asset_check(
    asset="balances",
    description="The booked balance of each account moves as its booked rows do. A difference "
    "that stayed is named with its account, days and amount; nothing is ever corrected.",
)
def balances_go_with_rows(services: dg.ResourceParam[Services]) -> dg.AssetCheckResult:
    """
    Tell of every confirmed difference, connection by connection.

    One check for all connections and not one per partition: the differences are in a table of
    ours, where each sync writes them, and an operator wants them on one page.
    """
    with services.sync.engine.connect() as db:
        found = list_differences(db)
    per_connection = Counter(one.connection_id for one in found)
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "balance_differences": dg.MetadataValue.int(len(found)),
            "connections": dg.MetadataValue.json(dict(per_connection)),
            "differences": _to_table(found[:SHOWN_MAX]),
        },
    )


balance_checks_job = dg.define_asset_job(
    "balance_checks_job",
    selection=dg.AssetSelection.checks(balances_go_with_rows),
    executor_def=dg.in_process_executor,
    description="Look whether every balance goes with its rows.",
)

balance_checks_schedule = dg.ScheduleDefinition(
    name="balance_checks_schedule",
    job=balance_checks_job,
    cron_schedule="50 */6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks four times a day whether every balance goes with its rows.",
)


def _to_table(found: list[ListedDifference]) -> dg.TableMetadataValue:
    columns = ("connection", "account", "check", "first_day", "last_day", "difference", "currency")
    schema = dg.TableSchema(columns=[dg.TableColumn(name) for name in columns])
    records = [
        dg.TableRecord(
            {
                "connection": one.connection_id,
                "account": one.account_id,
                "check": str(one.id),
                "first_day": one.first_day.isoformat(),
                "last_day": one.last_day.isoformat(),
                "difference": f"{one.difference:f}",
                "currency": one.currency or "unknown",
            }
        )
        for one in found
    ]
    return dg.MetadataValue.table(records, schema=schema)
