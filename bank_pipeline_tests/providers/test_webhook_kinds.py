"""Every documented webhook has its place in one table."""

import csv
import json
from pathlib import Path
from typing import Final

import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.base import EventKind
from bank_pipeline.providers.webhook_kinds import KIND_OF_CODE, kind_of

CODES: Final = Path(__file__).with_name("webhook_codes.csv")
"""The documented codes, as plain as can be: what the table is held against."""

SHARED: Final = Path(__file__).parents[3] / "shared" / "contracts"


def documented() -> dict[Provider, set[str]]:
    found: dict[Provider, set[str]] = {}
    for row in csv.DictReader(CODES.read_text().splitlines()):
        found.setdefault(Provider(row["provider"]), set()).add(row["code"])
    return found


def test_every_documented_code_has_an_action_and_no_other_has() -> None:
    assert {provider: set(kinds) for provider, kinds in KIND_OF_CODE.items()} == documented()


def test_the_actions_are_those_that_the_codes_call_for() -> None:
    """All that ask for anything, said once more."""
    asked = {
        code: kind
        for kinds in KIND_OF_CODE.values()
        for code, kind in kinds.items()
        if kind is not EventKind.IGNORE
    }

    assert asked == {
        "TRANSACTIONS/SYNC_UPDATES_AVAILABLE": EventKind.SYNC,
        "TRANSACTIONS/INITIAL_UPDATE": EventKind.SYNC,
        "TRANSACTIONS/HISTORICAL_UPDATE": EventKind.HISTORICAL_SYNC,
        "TRANSACTIONS/DEFAULT_UPDATE": EventKind.SYNC,
        "TRANSACTIONS/TRANSACTIONS_REMOVED": EventKind.SYNC,
        "ITEM/ERROR": EventKind.SYNC,
        "ITEM/LOGIN_REPAIRED": EventKind.REPAIRED,
        "ITEM/PENDING_EXPIRATION": EventKind.EXPIRING,
        "ITEM/PENDING_DISCONNECT": EventKind.EXPIRING,
        "ITEM/USER_PERMISSION_REVOKED": EventKind.REVOKED,
        "ITEM/USER_ACCOUNT_REVOKED": EventKind.ACCOUNT_REVOKED,
        "ITEM/NEW_ACCOUNTS_AVAILABLE": EventKind.NEW_ACCOUNTS,
        "LINK/SESSION_FINISHED": EventKind.LINK_FINISHED,
        "LINK/ITEM_ADD_RESULT": EventKind.LINK_FINISHED,
        "enrollment.disconnected": EventKind.NEEDS_REAUTH,
        "transactions.processed": EventKind.SYNC,
    }


def test_a_code_that_nobody_documents_asks_for_nothing() -> None:
    assert kind_of(Provider.PLAID, "TRANSACTIONS/INVENTED_TOMORROW") is EventKind.IGNORE
    assert kind_of(Provider.TELLER, "invented.tomorrow") is EventKind.IGNORE


def test_the_plain_list_is_the_catalogue() -> None:
    """Held against the providers' own documents, where they lie beside the project."""
    if not SHARED.is_dir():
        pytest.skip("no folder `shared` beside the project")
    examples = json.loads((SHARED / "plaid" / "examples" / "_webhooks.json").read_text())
    bodies = [
        json.loads(path.read_text()) for path in (SHARED / "teller" / "golden").glob("webhook.*")
    ]

    assert documented() == {
        Provider.PLAID: {
            f"{one['webhook_type']}/{one['webhook_code']}" for one in examples.values()
        },
        Provider.TELLER: {body["type"] for body in bodies},
    }
