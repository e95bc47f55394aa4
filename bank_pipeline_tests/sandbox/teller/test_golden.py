"""Answers and webhooks have the shapes of the files that were made after the documentation."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bank_pipeline_tests.sandbox.plaid.ear import Ear
from bank_pipeline_tests.sandbox.teller.caller import Caller
from bank_pipeline_tests.sandbox.teller.conftest import Start

GOLDEN = Path(__file__).parents[3].parent / "shared" / "contracts" / "teller" / "golden"
NULLABLE = {"running_balance", "available", "category", "name", "type", "ach", "wire", "bacs"}


def golden(name: str) -> Any:
    if not GOLDEN.exists():
        pytest.skip("no golden files of Teller's beside the project")
    return json.loads((GOLDEN / f"{name}.json").read_text())


def misfits(answer: Any, wanted: Any, where: str = "") -> list[str]:
    """Return where the answer's keys and types differ; rows are like any of the wanted ones."""
    if isinstance(wanted, dict) and isinstance(answer, dict):
        if set(answer) != set(wanted):
            return [f"{where}: {set(answer) ^ set(wanted)}"]
        return [
            one for key in wanted for one in misfits(answer[key], wanted[key], f"{where}.{key}")
        ]
    if isinstance(wanted, list) and isinstance(answer, list):
        found = [[misfits(one, each, f"{where}[]") for each in wanted] for one in answer]
        return [one for options in found if [] not in options for one in options[0]]
    is_null = where.rpartition(".")[2] in NULLABLE and None in (answer, wanted)
    return [] if is_null or type(answer) is type(wanted) else [f"{where}: {answer!r}"]


def test_the_comparison_notices_keys_and_types() -> None:
    wanted = [{"id": "a", "n": {"x": 1}}]

    assert misfits([{"id": "b", "n": {"x": 2}}], wanted) == []
    for wrong in ([{"id": "b"}], [{"id": 1, "n": {"x": 2}}], [{"id": "b", "n": {"x": None}}]):
        assert misfits(wrong, wanted)


def test_answers_have_the_documented_shapes(living: Caller) -> None:
    linked = living.link()
    checking = living.account(linked, "Everyday Checking")["id"]
    card = living.account(linked, "Anchor Rewards Card")["id"]
    rows = living.rows(linked, checking)
    answers = {
        "accounts.list": living.get(linked, "/accounts"),
        "account.get": living.get(linked, f"/accounts/{checking}"),
        "account.details": living.get(linked, f"/accounts/{checking}/details"),
        "account.balances": living.get(linked, f"/accounts/{checking}/balances"),
        "account.balances.ledger_only": living.get(linked, f"/accounts/{card}/balances"),
        "transactions.depository": rows,
        "transactions.credit_card": living.rows(linked, card),
        "transaction.get": living.get(linked, f"/accounts/{checking}/transactions/{rows[0]['id']}"),
        "identity": living.get(linked, "/identity")[:1],
        "institutions": living.http.get("/teller/institutions").json(),
        "connect.onSuccess": living.switch("/connect", login="login-1", nonce="n"),
    }

    wrong = {name: misfits(answer, golden(name)) for name, answer in answers.items()}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_errors_are_the_documented_ones(start: Start) -> None:
    strict, caller = start(require_certificate=True), start()
    linked = caller.link()
    account_id = caller.account(linked, "High-Yield Savings")["id"]
    caller.sandbox.world.close_account("acc-1-2")
    closed = caller.send(linked, f"/accounts/{account_id}")
    caller.switch(
        f"/enrollments/{linked.enrollment_id}/disconnect", suffix="user_action.mfa_required"
    )

    assert closed.json() == golden("error.account_closed.410")
    assert caller.send(linked, "/accounts").json() == golden("error.mfa_required.404")
    missing = strict.send(strict.link(), "/accounts").json()
    assert missing == golden("error.missing_certificate.400")


def test_webhooks_have_the_documented_shapes(caller: Caller, ear: Ear) -> None:
    caller.switch("/webhook_url", url=ear.url)
    linked = caller.link()
    account_id = caller.account(linked, "Everyday Checking")["id"]
    caller.switch("/webhooks")
    caller.sandbox.world.add_booked("acc-1-1", Decimal(1))
    caller.sandbox.advance(timedelta(days=1))
    caller.switch(f"/accounts/{account_id}/verification", status="completed")
    caller.switch(f"/enrollments/{linked.enrollment_id}/disconnect", suffix="account_locked")

    heard = {one.json["type"]: one.json for one in ear.heard}
    assert len(heard) == 4
    wrong = {
        kind: misfits(body, golden(f"webhook.{kind.removeprefix('webhook.')}"))
        for kind, body in heard.items()
    }
    assert {kind: found for kind, found in wrong.items() if found} == {}
