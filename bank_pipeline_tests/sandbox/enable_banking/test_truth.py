"""What every bank tells, read to the end, is the world's truth."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bank_pipeline.sandbox.enable_banking.aspsp_table import ASPSPS
from bank_pipeline.sandbox.enable_banking.profiles import Aspsp, References
from bank_pipeline_tests.sandbox.enable_banking.caller import (
    NOT_MONEY,
    PENDING,
    Caller,
    Linked,
    comparable,
    comparable_truth,
    signed,
    text,
)

_SHOWN = [one for one in ASPSPS if not one.is_mock or one.country == "FI"]
_BOOKED = ("ITBD", "CLBD", "XPCD", "VALU", "OTHR")
_AVAILABLE = ("ITAV", "CLAV", "FWAV", "OPAV")


def _first(balances: list[dict[str, Any]], kinds: tuple[str, ...]) -> Decimal | None:
    """Return the best balance as the contract ranks them."""
    told = {one["balance_type"]: Decimal(one["balance_amount"]["amount"]) for one in balances}
    return next((told[kind] for kind in kinds if kind in told), None)


def _read(caller: Caller, uid: str, aspsp: Aspsp) -> list[dict[str, Any]]:
    days = aspsp.profile.history_days
    return caller.rows(uid, date_from="2023-01-01" if days is None else caller.ago(days))


def _echoes(rows: list[dict[str, Any]]) -> set[str]:
    """Return references that stand for a pending row and the booked one at once."""
    counted = Counter(one["entry_reference"] for one in rows if one["entry_reference"])
    return {reference for reference, count in counted.items() if count > 1}


@pytest.mark.parametrize("aspsp", _SHOWN, ids=lambda one: f"{one.name}, {one.country}")
def test_what_is_read_is_what_is_true(shared_caller: Caller, aspsp: Aspsp) -> None:
    is_from_islands = aspsp.bank_id == "gb-meridian"  # with moneys of all sizes
    login = "login-3" if is_from_islands else "login-2"
    linked = shared_caller.link(aspsp.name, aspsp.country, login=login)
    accounts = shared_caller.truth(linked)["accounts"]

    for uid in linked.uids:
        told = _read(shared_caller, uid, aspsp)
        rows = [one for one in told if one["status"] not in NOT_MONEY]
        twice = _echoes(rows) if aspsp.profile.pending_stays else set()
        rows = [
            one
            for one in rows
            if one["status"] not in PENDING or one["entry_reference"] not in twice
        ]
        true = accounts[uid]["transactions"]
        assert Counter(map(comparable, rows)) == Counter(map(comparable_truth, true))
        names = {one["entry_reference"] for one in rows}
        if aspsp.profile.references in (References.NONE, References.RESTLESS, References.NUMBERED):
            assert {one["external_id"] for one in true} <= {None}
        else:
            assert names == {one["external_id"] for one in true}
        _check_balances(shared_caller, uid, accounts[uid])


def _check_balances(caller: Caller, uid: str, account: dict[str, Any]) -> None:
    balances = caller.ask(f"/accounts/{uid}/balances")["balances"]
    for kinds, name in ((_BOOKED, "booked"), (_AVAILABLE, "available")):
        true = None if account[name] is None else Decimal(account[name])
        told = _first(balances, kinds)
        if name == "booked" and told is None and true is not None:
            limit = caller.ask(f"/accounts/{uid}/details")["credit_limit"]["amount"]
            told = min(Decimal(account["available"]) - Decimal(limit), Decimal(0))
        assert told == true


def test_the_truth_moves_with_the_world(caller: Caller) -> None:
    linked = caller.link("Revolut", "LT")
    for _ in range(4):
        caller.sandbox.advance(timedelta(days=5))
        for uid in linked.uids:
            true = caller.truth(linked)["accounts"][uid]["transactions"]
            read = caller.whole(uid)
            assert Counter(map(comparable, read)) == Counter(map(comparable_truth, true))


def test_running_balances_lead_to_the_booked_one(shared_caller: Caller) -> None:
    for uid in shared_caller.link().uids:
        booked = [one for one in shared_caller.whole(uid) if one["status"] == "BOOK"]
        balances = shared_caller.ask(f"/accounts/{uid}/balances")["balances"]
        after = [Decimal(one["balance_after_transaction"]["amount"]) for one in booked]

        assert after[0] == _first(balances, ("ITBD",))
        for number, row in enumerate(booked[:-1]):
            assert after[number] == after[number + 1] + signed(row)


def _rows_of(caller: Caller, name: str, country: str, **wish: str) -> list[dict[str, Any]]:
    return caller.whole(caller.link(name, country, **wish).uids[0])


def test_amounts_are_unsigned_but_at_one_bank(shared_caller: Caller) -> None:
    plain = _rows_of(shared_caller, "Nordea", "FI")
    minus = _rows_of(shared_caller, "Minusbank", "AT")

    assert not [one for one in plain if one["transaction_amount"]["amount"].startswith("-")]
    assert {
        one["transaction_amount"]["amount"][0] == "-"
        for one in minus
        if one["credit_debit_indicator"] == "DBIT" and signed(one)
    } == {True}
    assert {len(one["transaction_amount"]["amount"].partition(".")[2]) for one in minus} >= {3}
    assert {
        one["balance_after_transaction"]["currency"] for one in minus if one["booking_date"]
    } == {"XXX"}
    assert "" in minus[0]["remittance_information"]


def test_the_counterparty_is_on_the_other_side_of_the_money(shared_caller: Caller) -> None:
    rows = _rows_of(shared_caller, "Nordea", "FI")

    assert not [one for one in rows if one["creditor"] and one["credit_debit_indicator"] == "CRDT"]
    assert not [one for one in rows if one["debtor"] and one["credit_debit_indicator"] == "DBIT"]
    assert [one for one in rows if one["creditor"]]
    assert [one for one in rows if one["debtor"]]


def test_one_bank_tells_the_holder_on_the_own_side(shared_caller: Caller) -> None:
    holder = shared_caller.sandbox.world.logins["login-2"].person_name
    for row in _rows_of(shared_caller, "ABN AMRO", "NL"):
        own, other = ("debtor", "creditor")
        if row["credit_debit_indicator"] == "CRDT":
            own, other = other, own
        assert row[own]["name"] == holder
        assert row[f"{own}_account"]["iban"]
        assert (row[other] or {}).get("name") != holder


def test_a_reference_may_stand_in_two_accounts(shared_caller: Caller) -> None:
    linked = shared_caller.link("Doppelbank", "DE")
    first, second = (
        {one["entry_reference"] for one in shared_caller.whole(linked.uids[number])}
        for number in (0, 2)
    )

    assert first & second


def test_a_restless_bank_renames_its_rows_at_each_listing(shared_caller: Caller) -> None:
    uid = shared_caller.link("Banque Changeante", "LU").uids[0]
    first, second = shared_caller.rows(uid), shared_caller.rows(uid)

    assert [comparable(one) for one in first] == [comparable(one) for one in second]
    assert not {one["entry_reference"] for one in first} & {
        one["entry_reference"] for one in second
    }


def _turn(caller: Caller, name: str, country: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Let one pending purchase be booked; return the row before, and the rows after."""
    world = caller.sandbox.world
    entry = world.add_pending("acc-2-1", Decimal("-12.50"), description="SHOP")
    uid = caller.link(name, country).uids[0]
    (before,) = (one for one in caller.rows(uid) if one["status"] in PENDING)
    world.book(entry.id)
    return before, [one for one in caller.rows(uid) if one["status"] not in NOT_MONEY]


def test_a_reference_outlives_booking_at_an_honest_bank(quiet_caller: Caller) -> None:
    before, (after,) = _turn(quiet_caller, "Nordea", "FI")

    assert (before["status"], after["status"]) == ("PDNG", "BOOK")
    assert before["booking_date"] is None
    assert before["entry_reference"] == after["entry_reference"]


def test_a_reference_may_change_with_booking(quiet_caller: Caller) -> None:
    before, (after,) = _turn(quiet_caller, "Revolut", "LT")

    assert before["entry_reference"] != after["entry_reference"]


def test_a_purchase_may_stand_twice_for_two_days(quiet_caller: Caller) -> None:
    _, after = _turn(quiet_caller, "Doppelbank", "DE")
    linked = Linked({"session_id": quiet_caller.wing.external_ids()[0], "accounts": []})
    (account, *_) = quiet_caller.truth(linked)["accounts"].values()
    quiet_caller.sandbox.advance(timedelta(days=3))
    uid = next(iter(quiet_caller.truth(linked)["accounts"]))
    later = [one for one in quiet_caller.rows(uid) if one["status"] not in NOT_MONEY]

    assert sorted(one["status"] for one in after) in (["BOOK", "PDNG"], ["OTHR", "PDNG"])
    assert len(account["transactions"]) == 1
    assert len(later) == 1


def test_rows_that_are_no_money_are_told_apart(shared_caller: Caller) -> None:
    linked = shared_caller.link("Doppelbank", "DE")
    rows = shared_caller.whole(linked.uids[0])
    account = shared_caller.truth(linked)["accounts"][linked.uids[0]]

    assert {one["status"] for one in rows} >= {"BOOK", "OTHR", "SCHD", "CNCL", "RJCT"}
    assert {one["status"] for one in account["not_money"]} == set(NOT_MONEY)
    assert {one["external_id"] for one in account["not_money"]} == {
        one["entry_reference"] for one in rows if one["status"] in NOT_MONEY
    }


def test_a_foreign_purchase_is_pending_in_foreign_money(quiet_caller: Caller) -> None:
    quiet_caller.sandbox.world.add_pending(
        "acc-2-1", Decimal("-9.20"), source_amount=Decimal("-10.00"), source_currency="USD"
    )
    uid = quiet_caller.link("Revolut", "LT").uids[0]
    (row,) = quiet_caller.rows(uid)

    assert row["transaction_amount"] == {"currency": "USD", "amount": "10.00"}


def test_a_card_account_repeats_the_current_account(shared_caller: Caller) -> None:
    linked = shared_caller.link("Boursorama", "FR", login="login-5")
    current, _, card = (shared_caller.whole(uid) for uid in linked.uids)
    bought = [
        one
        for one in current
        if one["merchant_category_code"] or one["bank_transaction_code"]["code"] == "CCRD"
    ]
    repeated = Counter(map(comparable, card)) & Counter(map(comparable, bought))

    assert {one["currency"] for one in linked.told["accounts"]} == {"XXX"}
    assert repeated.total() == len(card)
    assert 0.85 < len(card) / len(bought) < 1
    assert not {one["entry_reference"] for one in card} & {
        one["entry_reference"] for one in current
    }


def test_texts_of_some_countries(shared_caller: Caller) -> None:
    dutch = text(_rows_of(shared_caller, "ABN AMRO", "NL")[0])
    danish = " ".join(map(text, _rows_of(shared_caller, "Nordea", "DK")))
    austrian = " ".join(map(text, _rows_of(shared_caller, "Erste Bank", "AT")))
    wise = _rows_of(shared_caller, "Wise", "BE", login="login-3")

    assert "Omschrijving: " in dutch
    assert "Dankort-køb " in danish
    assert " AT D6 " in austrian
    assert [one for one in wise if (one["creditor"] or {}).get("name", "").startswith("CARD-")]


def test_some_booked_rows_have_no_booking_date(shared_caller: Caller) -> None:
    rows = _rows_of(shared_caller, "Nullbanken", "SE")
    booked = [one for one in rows if one["status"] == "BOOK"]

    assert 0 < len([one for one in booked if one["booking_date"] is None]) < len(booked)
    assert {one["creditor"] for one in rows} == {None}
    assert {one["entry_reference"] for one in rows} == {None}


def test_kinds_of_balances(shared_caller: Caller) -> None:
    def kinds(name: str, country: str, number: int) -> dict[str, str]:
        linked = shared_caller.link(name, country)
        told = shared_caller.ask(f"/accounts/{linked.uids[number]}/balances")["balances"]
        return {one["balance_type"]: one["balance_amount"]["amount"] for one in told}

    honest, card = kinds("Nordea", "FI", 0), kinds("Nordea", "FI", 2)
    overdraft = kinds("Caixa Geral de Depósitos", "PT", 0)

    assert set(kinds("Nordea", "DK", 0)) == {"ITBD", "ITAV", "VALU"}
    assert kinds("Boursorama", "FR", 2) == {"OTHR": "0.00"}
    assert set(kinds("Mock ASPSP", "FI", 0)) == {"CLBD", "OPBD", "XPCD", "CLAV"}
    assert Decimal(overdraft["ITAV"]) == Decimal(honest["ITAV"]) + 500
    assert kinds("Bank Norwegian", "NO", 2) == {"ITAV": card["ITAV"]}
    assert Decimal(card["ITBD"]) < 0 < Decimal(card["ITAV"])
    assert kinds("Nullbanken", "SE", 0) == {}


def test_amounts_keep_the_decimals_of_their_money(shared_caller: Caller) -> None:
    linked = shared_caller.link("Nordea", "FI", login="login-3")
    decimals = [
        max(
            len(row["transaction_amount"]["amount"].partition(".")[2])
            for row in shared_caller.whole(uid) or []
        )
        for uid in linked.uids[:4]
    ]

    assert decimals[1] == 0
    assert decimals[2] >= 3
    assert decimals[3] >= 6
