"""
The checks: what an operator has to look at, each as one statement over all connections.

One check for all connections and not one per partition: what is found is in tables of ours,
and an operator wants it on one page.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.check_results import A_PERSON_LOOKS, LATE_OR_WRONG, SHOWN_MAX, to_result
from bank_pipeline.defs.labels import CHECKING
from bank_pipeline.defs.metadata import to_metadata
from bank_pipeline.storage import findings
from bank_pipeline.storage.balance_checks import ListedDifference, list_differences
from bank_pipeline.storage.findings import Cell, Findings

_GUIDE: Final = {"guide": "docs/operations.md: What the checks say", "evaluated": "every 6 hours"}


def _check(
    name: str,
    *,
    asset: str,
    description: str,
    find: Callable[[Any, datetime], Findings],
    what: str,
    to_do: str,
    severity: dg.AssetCheckSeverity,
) -> dg.AssetChecksDefinition:
    """Build a check that passes when a question, asked in a session now, finds nothing."""

    @dg.asset_check(
        name=name,
        asset=asset,
        description=description,
        compute_kind="postgres",
        metadata={"severity": severity.value, **_GUIDE},
    )
    def look(services: dg.ResourceParam[Services]) -> dg.AssetCheckResult:
        with services.sync.engine.connect() as db:
            found = find(db, services.sync.clock())
        return to_result(found, what=what, to_do=to_do, severity=severity)

    return look


connections_are_fresh = _check(
    "connections_are_fresh",
    asset="transactions",
    description="Every connection that is synced every day had a successful sync within 26 hours.",
    find=lambda db, now: findings.find_late(db, now=now, limit=SHOWN_MAX),
    what="Connections without a successful sync for more than 26 hours",
    to_do="`why` tells the reason and what comes by itself; `bank-pipeline runs --connection "
    "ID` tells more. Where it says `doctor`, run `bank-pipeline doctor`. If only `the daily "
    "sync` is to come, nothing reached the connection: does the daemon run?",
    severity=LATE_OR_WRONG,
)


no_customer_has_to_act = _check(
    "no_customer_has_to_act",
    asset="accounts",
    description="No connection waits for its customer to log in or to consent again.",
    find=lambda db, _: findings.find_waiting(db, limit=SHOWN_MAX),
    what="Connections that rest until their customer acts",
    to_do="`needs_reauth`: send the customer the page of `bank-pipeline link PROVIDER --renew "
    "ID`. `revoked`: the same, or `bank-pipeline disconnect ID` if they left. Rows stay.",
    severity=A_PERSON_LOOKS,
)


history_has_no_gaps = _check(
    "history_has_no_gaps",
    asset="transactions",
    description="A complete answer has covered every date of every open account, up to yesterday.",
    find=lambda db, now: findings.find_gaps(db, now=now, limit=SHOWN_MAX),
    what="Ranges of dates that no complete answer has covered",
    to_do="The next syncs ask for what the bank still gives. If one stays for a week, ask "
    "once with `bank-pipeline backfill --connection ID --from FIRST_DAY`. What the bank "
    "refuses stays a gap, and so does that of an ended connection: tell whoever sums these dates.",
    severity=A_PERSON_LOOKS,
)


quarantine_is_empty = _check(
    "quarantine_is_empty",
    asset="transactions",
    description="Every row that a bank sent could be read: the quarantine is empty.",
    find=lambda db, _: findings.find_quarantined(db, limit=SHOWN_MAX),
    what="Rows that could not be read and are missing in the tables",
    to_do="Look at one with `bank-pipeline quarantine show FIRST_ID` and report it. After an "
    "upgrade that reads it: `bank-pipeline renormalise --apply`. If it is worth nothing: "
    "`bank-pipeline quarantine resolve FIRST_ID`.",
    severity=LATE_OR_WRONG,
)


@dg.asset_check(
    asset="transactions",
    description="The keys that forbid double rows are enforced, and no payment counts as pending "
    "and as booked at once.",
    compute_kind="postgres",
    metadata={"severity": LATE_OR_WRONG.value, **_GUIDE},
)
def nothing_is_stored_twice(services: dg.ResourceParam[Services]) -> dg.AssetCheckResult:
    """Tell of keys that are gone, and of payments that are summed twice."""
    with services.sync.engine.connect() as db:
        keys = findings.find_missing_keys(db)
        found = findings.find_doubled(db, limit=SHOWN_MAX)
    if keys:
        return dg.AssetCheckResult(
            passed=False,
            severity=LATE_OR_WRONG,
            description=f"The database does not enforce {', '.join(keys)}. Pause the schedules, "
            "restore the keys from a backup's definition, and compare before going on.",
            metadata=to_metadata(missing_keys=keys),
        )
    return to_result(
        found,
        what="Payments that count twice, as pending and as booked",
        to_do="Compare both with `bank-pipeline explain ROW`, then drop the pending one with "
        "`bank-pipeline duplicates drop PENDING_ROW`; report it.",
        severity=LATE_OR_WRONG,
    )


duplicates_are_decided = _check(
    "duplicates_are_decided",
    asset="transactions",
    description="Somebody decided of every row that may be another one told twice.",
    find=lambda db, _: findings.find_suspected(db, limit=SHOWN_MAX),
    what="Rows that may be another one told twice",
    to_do="`bank-pipeline duplicates list` shows them side by side; `duplicates keep` or "
    "`duplicates drop` decides. Until then both count.",
    severity=A_PERSON_LOOKS,
)


currencies_are_known = _check(
    "currencies_are_known",
    asset="accounts",
    description="Somebody or something tells the currency of every open account.",
    find=lambda db, _: findings.find_without_currency(db, limit=SHOWN_MAX),
    what="Open accounts whose currency nobody tells",
    to_do="Their amounts have no currency and are in no sum by currency. Nothing is guessed: "
    "ask the provider why the bank names none.",
    severity=A_PERSON_LOOKS,
)


accounts_are_told_apart = _check(
    "accounts_are_told_apart",
    asset="accounts",
    description="No account waits for a person to say which one it is.",
    find=lambda db, _: findings.find_questions(db, limit=SHOWN_MAX),
    what="Accounts that are not read until somebody says which they are",
    to_do="`bank-pipeline accounts questions` shows them with the known ones they could be; "
    "`bank-pipeline accounts decide` with `--same-as` or `--new` answers.",
    severity=A_PERSON_LOOKS,
)


unused_consents_have_ended = _check(
    "unused_consents_have_ended",
    asset="accounts",
    description="Every consent that nobody uses was ended at its provider within a day.",
    find=lambda db, now: findings.find_open_consents(db, now=now, limit=SHOWN_MAX),
    what="Consents that nobody uses and that are still open",
    to_do="It is tried every day. If `last_error` stays, end the consent on the provider's own "
    "page; the next try then finds it gone.",
    severity=A_PERSON_LOOKS,
)


balances_go_with_rows = _check(
    "balances_go_with_rows",
    asset="balances",
    description="The booked balance of each account moves as its booked rows do. A difference "
    "that stayed is named with its account, days and amount; nothing is ever corrected.",
    find=lambda db, _: _find_differences(db),
    what="Balances that do not go with their rows",
    to_do="Compare the days with the bank's statement. When it is dealt with, or the bank's "
    "own fault: `bank-pipeline balance-checks resolve CHECK`.",
    severity=A_PERSON_LOOKS,
)


CHECKS: Final = (
    accounts_are_told_apart,
    balances_go_with_rows,
    connections_are_fresh,
    currencies_are_known,
    duplicates_are_decided,
    history_has_no_gaps,
    no_customer_has_to_act,
    nothing_is_stored_twice,
    quarantine_is_empty,
    unused_consents_have_ended,
)

checks_job = dg.define_asset_job(
    "checks_job",
    selection=dg.AssetSelection.checks(*CHECKS),
    executor_def=dg.in_process_executor,
    description="Look at all connections for what is late, missing, doubled or waits for a person.",
    tags=CHECKING,
)

checks_schedule = dg.ScheduleDefinition(
    name="checks_schedule",
    job=checks_job,
    cron_schedule="50 */6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Evaluates every check four times a day.",
    metadata=CHECKING,
)


def _find_differences(db: Any) -> Findings:  # noqa: ANN401 - a session; SQL stays in storage
    listed = list_differences(db)
    connections = len({one.connection_id for one in listed})
    return Findings(len(listed), connections, tuple(_to_row(one) for one in listed[:SHOWN_MAX]))


def _to_row(one: ListedDifference) -> dict[str, Cell]:
    return {
        "connection": one.connection_id,
        "account": one.account_id,
        "check": one.id,
        "first_day": one.first_day,
        "last_day": one.last_day,
        "difference": f"{one.difference:f}",
        "currency": one.currency or "unknown",
    }
