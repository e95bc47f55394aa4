"""Claims about secrets: what opens an account is in no log, no error and no repr."""

import traceback
from datetime import timedelta
from typing import Final

from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import ProviderError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.accounts import load_accounts
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.scanning import scan_database, scan_texts
from bank_pipeline_tests.sync.leaks import Canaries, Recorder, recorded_logs

OPENING: Final = ("url", "state", "ref", "code", "access_token", "signatures")
BANKS_OWN: Final = "uvicorn"  # what the simulated banks log
BREAKS: Final = (
    FaultKind.RESET,
    FaultKind.HTML_BODY,
    FaultKind.HTTP_STATUS,
    FaultKind.RATE_LIMITED,
    FaultKind.EMPTY_BODY,
    FaultKind.REDIRECT,
    FaultKind.TRUNCATED_BODY,
    FaultKind.NAN_AMOUNTS,
    FaultKind.LOGIN_REQUIRED,
)


def canaries_of(stage: Stage, connection: ConnectionId) -> Canaries:
    """Look out for the credential, for what went through the browser, and for our own keys."""
    canaries = Canaries()
    canaries.add("credential", stage.credential(connection).get_secret_value())
    for name in OPENING:
        if name in stage.passed:
            canaries.add(name, stage.passed[name])
    for name in Settings.model_fields:
        value = getattr(stage.banks.settings, name)
        if isinstance(value, SecretStr):
            canaries.add(name, value.get_secret_value())
    return canaries


def live_through_all(stage: Stage, logs: Recorder) -> tuple[Canaries, dict[str, str]]:
    """Link, sync, fail in every way, renew and disconnect; return what was said on the way."""
    said: dict[str, str] = {}
    login, connection = stage.linked()
    canaries = canaries_of(stage, connection)
    for kind in BREAKS:
        stage.fail(stage.case.calls, kind, times=None)
        try:
            stage.sync(connection)
        except ProviderError as error:
            said[f"error {kind}"] = f"{error} {error!r} {vars(error)}"
            said[f"traceback {kind}"] = traceback.format_exc()
        stage.heal()
    stage.consent(login, renews=connection)
    renewed = canaries_of(stage, connection)
    stage.fail(stage.case.revocation, FaultKind.HTTP_STATUS, times=None)
    said["failure of the end"] = repr(disconnect(stage.context, connection))
    stage.heal()
    disconnect(stage.context, connection)
    said["reprs"] = f"{stage.provider!r} {stage.context!r} {stage.banks.settings!r}"
    said["written logs"] = "\n".join(line for line in logs.written if BANKS_OWN not in line)
    said["logs"] = "\n".join(line for line in logs.lines if not line.startswith(BANKS_OWN))
    assert scan_texts(said, renewed) == []
    return canaries, said


def test_no_secret_is_told_on_any_way(stage: Stage) -> None:
    with recorded_logs("bank_pipeline") as logs:
        canaries, said = live_through_all(stage, logs)
    assert scan_texts(said, canaries) == []
    assert "failed: " in said["logs"]
    for text in said.values():
        assert "Bearer " not in text
        assert "Basic " not in text


MONEY: Final = ("bank.transactions.", "bank.transaction_revisions.", "bank.transactions_")
"""Whose numbers stand in a payment is what analysts read: the bank's words about it."""


def numbers_of(stage: Stage, connection: ConnectionId) -> Canaries:
    """Look out for the numbers of a connection's accounts, which may be shown by four digits."""
    numbers = Canaries()
    with stage.context.engine.connect() as db:
        for account in load_accounts(db, connection, vault=stage.context.vault):
            for name, value in account.identifiers:
                if value and name in {"iban", "bban", "account_number"}:
                    numbers.add(name, value)
    return numbers


def test_no_number_of_an_account_lies_in_the_database(stage: Stage) -> None:
    """Not in its row, nor in what the bank answered, nor in what syncs leave for looking back."""
    login, connection = stage.linked()
    stage.sync(connection)
    stage.fail(stage.case.transactions, FaultKind.MISSING_KEY, key=stage.case.row_key)
    stage.sync(connection)
    stage.heal()
    numbers = numbers_of(stage, connection)
    stage.pass_time(timedelta(days=1))
    stage.consent(login, renews=connection)
    stage.sync(connection)

    leaks = scan_database(stage.context.engine, numbers)

    assert [one for one in leaks if not one.place.startswith(MONEY)] == []


def test_a_secret_in_a_text_would_be_found(stage: Stage) -> None:
    """The search itself can fail."""
    _, connection = stage.linked()
    told = {"text": f"GET /x/{stage.credential(connection).get_secret_value()}"}
    assert scan_texts(told, canaries_of(stage, connection))
