"""A walk with plain HTTP: connect, read everything, compare with the truth; and again later."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from bank_pipeline_tests.sandbox.teller.caller import Caller, Linked, by_id
from bank_pipeline_tests.sandbox.teller.conftest import Start


def seen(caller: Caller, linked: Linked) -> dict[str, Any]:
    """Read an enrollment in the words of `truth_of`, with Teller's signs turned."""
    return {
        account["id"]: {
            "kind": account["subtype"],
            "name": account["name"],
            "currency": account["currency"],
            **balances(caller, linked, account),
            "transactions": {
                row["id"]: (
                    Decimal(row["amount"]) * sign_of(account),
                    row["status"] == "pending",
                    row["date"],
                    row["description"],
                )
                for row in by_id(caller.all_rows(linked, account["id"], count=70)).values()
            },
        }
        for account in caller.get(linked, "/accounts")
        if account["status"] == "open"
    }


def balances(caller: Caller, linked: Linked, account: dict[str, Any]) -> dict[str, Any]:
    if "balances" not in account["links"]:
        rows = caller.rows(linked, account["id"])
        told = next((row["running_balance"] for row in rows if row["running_balance"]), None)
        return {"booked": number(told), "available": None}
    told = caller.get(linked, f"/accounts/{account['id']}/balances")
    return {
        "booked": Decimal(told["ledger"]) * sign_of(account),
        "available": Decimal(told["available"]),
    }


def sign_of(account: dict[str, Any]) -> int:
    return -1 if account["type"] == "credit" else 1


def true(caller: Caller, linked: Linked) -> dict[str, Any]:
    return {
        account_id: {
            "kind": account["kind"],
            "name": account["name"],
            "currency": account["currency"],
            "booked": number(account["booked"]),
            "available": number(account["available"]),
            "transactions": {
                row["external_id"]: (
                    Decimal(row["amount"]),
                    row["pending"],
                    row["day"],
                    row["description"],
                )
                for row in account["transactions"]
            },
        }
        for account_id, account in caller.truth(linked)["accounts"].items()
        if account["listed"]
    }


def number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def test_what_is_read_equals_the_truth_now_and_after_every_step_of_time(start: Start) -> None:
    caller = start(quiet=False)
    links = [caller.link("login-1"), caller.link("login-4")]
    first = [seen(caller, linked) for linked in links]

    for step in (timedelta(0), timedelta(hours=30), timedelta(days=20)):
        caller.sandbox.advance(step)
        for linked in links:
            assert seen(caller, linked) == true(caller, linked)

    assert [len(one) for one in first] == [3, 2]
    assert all(len(account["transactions"]) > 3 for one in first for account in one.values())
    assert first[0] != seen(caller, links[0]), "three weeks bring something"


def test_the_same_seed_gives_the_same_bytes(start: Start) -> None:
    answers = []
    for _ in range(2):
        caller = start(quiet=False)
        linked = caller.link()
        account = caller.account(linked, "Everyday Checking")
        path = f"/accounts/{account['id']}/transactions"
        answers.append(caller.send(linked, path).content)

    assert answers[0] == answers[1]


def test_a_closed_account_stays_in_the_list_and_refuses_all_else(caller: Caller) -> None:
    world, linked = caller.sandbox.world, caller.link()
    world.add_booked("acc-1-2", Decimal(5))
    account = caller.account(linked, "High-Yield Savings")
    world.close_account("acc-1-2")

    assert caller.account(linked, "High-Yield Savings")["status"] == "closed"
    for path in ("", "/details", "/balances", "/transactions"):
        assert caller.fail(linked, f"/accounts/{account['id']}{path}") == (410, "account.closed")
    truth = caller.truth(linked)["accounts"][account["id"]]
    assert (truth["listed"], len(truth["transactions"])) == (False, 1)


def test_a_deleted_account_is_gone_and_the_others_stay(caller: Caller) -> None:
    linked = caller.link()
    account = caller.account(linked, "High-Yield Savings")

    answer = caller.send(linked, f"/accounts/{account['id']}", "DELETE")

    assert (answer.status_code, answer.content) == (204, b"")
    assert len(caller.get(linked, "/accounts")) == 2
    assert caller.fail(linked, f"/accounts/{account['id']}/balances") == (404, "not_found")
    assert caller.truth(linked)["accounts"][account["id"]]["listed"] is False


def test_a_deleted_enrollment_takes_its_token_along(caller: Caller) -> None:
    linked = caller.link()

    answer = caller.send(linked, "/accounts", "DELETE")

    assert (answer.status_code, answer.content) == (204, b"")
    assert caller.fail(linked, "/accounts") == (403, "forbidden")
    assert caller.truth(linked)["removed"] is True
    assert caller.wing.external_ids() == []
