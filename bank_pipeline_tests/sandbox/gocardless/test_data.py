"""Claims about the data: every institution shows the same truth, and each in its odd way."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bank_pipeline.sandbox.gocardless.bank_table import INSTITUTIONS
from bank_pipeline.sandbox.ledger import Party
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.gocardless.caller import GERMAN, Caller, Linked, served
from bank_pipeline_tests.sandbox.gocardless.reader import read_balances, read_rows, true_rows

TODAY = "2026-03-02"
GIRO, CARD = "acc-2-1", "acc-2-3"


def rows_of(caller: Caller, linked: Linked, index: int = 0, **query: str) -> Any:
    return caller.get(f"accounts/{linked.accounts[index]}/transactions/", **query)["transactions"]


def texts(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [one["remittanceInformationUnstructured"] for one in rows]


@pytest.mark.parametrize("institution_id", sorted(INSTITUTIONS))
@pytest.mark.parametrize("login", ["login-2", "login-3"])
def test_a_reader_who_knows_the_bank_finds_the_truth(
    caller: Caller, institution_id: str, login: str
) -> None:
    linked = caller.link(institution_id, login=login)
    truth = caller.truth(linked)

    assert truth["error_code"] is None
    assert list(truth["accounts"]) == list(linked.accounts)
    for account, expected in truth["accounts"].items():
        details = caller.get(f"accounts/{account}/details/")["account"]
        balances = caller.get(f"accounts/{account}/balances/")
        rows = caller.get(f"accounts/{account}/transactions/")
        currency = details["currency"]
        told = [None if one is None else Decimal(one) for one in _balances(expected)]
        assert read_rows(institution_id, rows, currency, TODAY) == true_rows(expected)
        assert list(read_balances(institution_id, balances, currency)) == told
        assert details["name"] == expected["name"]
        assert currency == (expected["currency"] or "XXX")


def _balances(account: dict[str, Any]) -> tuple[str | None, str | None]:
    return account["booked"], account["available"]


def test_the_truth_holds_what_the_oddities_are_about(caller: Caller) -> None:
    """Otherwise the test above would compare nothing."""
    linked = caller.link(login="login-2")
    british = caller.link("MERIDIAN_MRDNGB2L", login="login-3")
    rows = [row for one in caller.truth(linked)["accounts"].values() for row in one["transactions"]]
    wallets = caller.truth(british)["accounts"].values()

    assert {row["pending"] for row in rows} == {True, False}
    assert {Decimal(row["amount"]) > 0 for row in rows} == {True, False}
    assert {one["currency"] for one in wallets} == {"GBP", "JPY", "KWD", None}
    ibans = [caller.get(f"accounts/{one}/")["iban"] for one in british.accounts]
    assert len(set(ibans[:3])) == 1
    assert ibans[0].startswith("GB")


def test_history_reaches_as_far_back_as_the_agreement_says(caller: Caller) -> None:
    short, long = (caller.link(max_historical_days=one) for one in (30, 180))
    days = [[row["bookingDate"] for row in rows_of(caller, one)["booked"]] for one in (short, long)]

    assert min(days[0]) >= "2026-01-31"
    assert "2025-09-03" <= min(days[1]) < "2025-12-01"
    asked_for_more = rows_of(caller, short, date_from="2025-10-01")["booked"]
    assert [row["bookingDate"] for row in asked_for_more] == days[0]


def test_dates_bound_the_booked_rows_on_both_sides(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    for day in range(20, 25):
        quiet.world.add_booked(
            GIRO, Decimal(-day), booking_date=date(2026, 2, day), description=str(day)
        )
    quiet.world.add_pending(GIRO, Decimal(-9), description="waiting")
    linked = quiet_caller.link()

    rows = rows_of(quiet_caller, linked, date_from="2026-02-21", date_to="2026-02-23")

    assert texts(rows["booked"]) == ["23", "22", "21"]
    assert texts(rows["pending"]) == ["waiting"]


def test_dates_that_make_no_sense_are_refused_and_cost_nothing(caller: Caller) -> None:
    linked = caller.link()
    path = f"accounts/{linked.accounts[0]}/transactions/"

    future = caller.refused("GET", f"{path}?date_from=2026-03-03&date_to=2026-03-04")
    backwards = caller.refused("GET", f"{path}?date_from=2026-02-03&date_to=2026-02-02")
    nonsense = caller.refused("GET", f"{path}?date_from=yesterday")

    assert future[1]["date_from"]["detail"] == (
        "'2026-03-03' can't be greater than 2026-03-02. Specify correct date range"
    )
    assert set(future[1]) == {"date_from", "date_to", "status_code"}
    assert backwards[1]["summary"] == "Incorrect date range"
    assert isinstance(nonsense[1]["date_from"], list)


def test_pending_becomes_booked_under_other_ids(quiet: SandboxServer, quiet_caller: Caller) -> None:
    linked = quiet_caller.link()
    entry = quiet.world.add_pending(GIRO, Decimal("-12.50"), description="HOLD")
    gone = quiet.world.add_pending(GIRO, Decimal("-1.00"), description="GONE")
    before = rows_of(quiet_caller, linked)
    quiet.advance(timedelta(days=2))
    quiet.world.book(entry.id, amount=Decimal("-13.75"), description="Booked")
    quiet.world.vanish(gone.id)
    with Caller(quiet) as later:
        after = rows_of(later, linked)

    assert texts(before["pending"]) == ["GONE", "HOLD"]
    assert (before["booked"], after["pending"]) == ([], [])
    (row,) = after["booked"]
    assert row["transactionAmount"] == {"amount": "-13.75", "currency": "EUR"}
    assert row["transactionId"] not in {one["transactionId"] for one in before["pending"]}
    assert row["bookingDate"] == "2026-03-04"


def test_removed_rows_disappear_and_come_back_under_their_id(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    linked = quiet_caller.link()
    entry = quiet.world.add_booked(GIRO, Decimal(5))
    first = rows_of(quiet_caller, linked)["booked"]
    quiet.world.remove(entry.id)
    without = rows_of(quiet_caller, linked)["booked"]
    quiet.world.restore(entry.id)

    assert without == []
    assert rows_of(quiet_caller, linked)["booked"] == first


def test_ids_are_as_bad_as_those_banks_ids_are(quiet: SandboxServer, quiet_caller: Caller) -> None:
    for number in range(12):
        quiet.world.add_booked(GIRO, Decimal(-1 - number))

    def ids(institution_id: str, key: str = "transactionId") -> list[str | None]:
        rows = rows_of(quiet_caller, quiet_caller.link(institution_id))["booked"]
        return [one.get(key) for one in rows]

    assert len(set(ids("BELFIUS_GKCCBEBB"))) == 1
    assert len(set(ids("BELFIUS_GKCCBEBB", "internalTransactionId"))) == 12
    assert set(ids("COOPERATIVE_RETAIL_CPBKGB22")) == {"9998"}
    assert set(ids("ING_INGBROBU")) == {"NOTPROVIDED"}
    assert set(ids("LABORALKUTXA_CLPEES2M")) == {"", " ", "NOTPROVIDED", None}
    assert set(ids("LABORALKUTXA_CLPEES2M", "internalTransactionId")) == {None}
    assert any(str(one).startswith("00DEBIT") for one in ids("NATIONWIDE_NAIAGB21"))


def test_shapes_that_specifications_do_not_know(quiet: SandboxServer, quiet_caller: Caller) -> None:
    quiet.world.add_booked(
        GIRO,
        Decimal("-45.00"),
        description="Trip",
        source_amount=Decimal("-49.50"),
        source_currency="USD",
        exchange_rate=Decimal("0.909"),
    )
    quiet.world.add_pending(GIRO, Decimal(-3), description="Soon")

    def row(institution_id: str) -> dict[str, Any]:
        found = rows_of(quiet_caller, quiet_caller.link(institution_id))["booked"]
        return dict(found[0])

    wallet, belgian, loan = (
        row(one) for one in ("REVOLUT_REVOLT21", "BELFIUS_GKCCBEBB", "CETELEM_CETMPTP1XXX")
    )
    card, greek = row("ENTERCARD_SWEDNOKK"), row("NBG_ETHNGRAAXXX")
    assert isinstance(wallet["currencyExchange"], dict)
    assert wallet["transactionAmount"]["amount"] == "-45"
    assert set(wallet["balanceAfterTransaction"]) == {"amount", "currency"}
    assert isinstance(belgian["balanceAfterTransaction"], str)
    assert loan["transactionAmount"]["amount"] == "45.0000"
    assert card["transactionAmount"] == {"amount": "-49.50", "currency": "USD"}
    assert card["remittanceInformationUnstructured"] == "billingAmount: -45"
    assert greek["currencyExchange"][0]["instructedAmount"]["currency"] == "USD"
    plain = row(GERMAN)["balanceAfterTransaction"]
    assert plain["balanceAmount"]["currency"] == "EUR"
    pending = rows_of(quiet_caller, quiet_caller.link("NBG_ETHNGRAAXXX"))["pending"]
    assert pending[0]["transactionAmount"]["amount"] == "3.00"
    assert "transactionId" not in pending[0]
    for institution_id, present in (("COMMERZBANK_COBADEFF", False), ("ENTERCARD_SWEDNOKK", True)):
        lists = rows_of(quiet_caller, quiet_caller.link(institution_id))
        assert ("pending" in lists) is present
        assert not lists.get("pending")
    ahead = rows_of(quiet_caller, quiet_caller.link("NATIONWIDE_NAIAGB21"))["pending"]
    assert ahead[0]["valueDate"] == "2026-03-04"


def test_texts_pass_unharmed_whatever_is_in_them(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    hostile = ["\x00NUL\x7f", "שלום \u202eRTL", "🌻👩‍👩‍👧", "a\\Ub\n\t'\"", " ", ""]
    for text in hostile:
        quiet.world.add_booked(GIRO, Decimal(-1), description=text, original_description="")

    rows = rows_of(quiet_caller, quiet_caller.link())["booked"]

    assert [one.get("remittanceInformationUnstructured", "") for one in rows] == hostile[::-1]


def test_references_and_cheques_are_told_in_their_fields(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    quiet.world.add_booked(
        GIRO,
        Decimal(-7),
        reference="RE-7",
        check_number="1044",
        channel="in store",
        description="",
        original_description="only this",
        party=Party("Zoë", "person", iban="DE89370400440532013000"),
    )

    (plain,) = rows_of(quiet_caller, quiet_caller.link())["booked"]
    (dutch,) = rows_of(quiet_caller, quiet_caller.link("ABNAMRO_ABNANL2A"))["booked"]

    told = [plain[one] for one in ("entryReference", "endToEndId", "checkId", "creditorName")]
    assert told == ["RE-7", "RE-7", "1044", "Zoë"]
    assert plain["creditorAccount"] == {"iban": "DE89370400440532013000"}
    assert plain["additionalInformation"] == "only this"
    assert "remittanceInformationUnstructured" not in plain
    assert dutch["remittanceInformationUnstructuredArray"] == ["only this"]


def test_rows_without_any_date_are_shown_but_are_no_part_of_the_truth(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    quiet.world.add_booked(GIRO, Decimal(-1), booking_date=None, value_date=None)
    quiet.world.add_booked(GIRO, Decimal(-2), booking_date=None, value_date=date(2026, 2, 27))
    linked = quiet_caller.link()

    rows = rows_of(quiet_caller, linked)["booked"]
    truth = quiet_caller.truth(linked)["accounts"][linked.accounts[0]]["transactions"]

    assert sorted(one.get("valueDate", "") for one in rows) == ["", "2026-02-27"]
    assert not [one for one in rows if "bookingDate" in one]
    assert [(one["amount"], one["day"]) for one in truth] == [("-2", "2026-02-27")]


def test_a_shared_customer_shows_one_account_where_banks_give_but_one(caller: Caller) -> None:
    assert len(caller.link("LABORALKUTXA_CLPEES2M").accounts) == 1


def test_thousands_of_rows_come_in_one_answer(quiet: SandboxServer, quiet_caller: Caller) -> None:
    for number in range(2_000):
        quiet.world.add_booked(GIRO, Decimal(number + 1))

    rows = rows_of(quiet_caller, quiet_caller.link())["booked"]

    assert len({one["internalTransactionId"] for one in rows}) == 2_000


def test_a_long_text_is_cut_but_whole_in_its_parts(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    quiet.world.add_booked(GIRO, Decimal(-1), description="Zürich " * 50)
    (row,) = rows_of(quiet_caller, quiet_caller.link("COMMERZBANK_COBADEFF"))["booked"]

    assert len(row["remittanceInformationUnstructured"]) <= 140
    assert "Zürich " * 50 in "".join(row["remittanceInformationUnstructuredArray"])


def test_a_long_history_is_given_once_and_then_stands_still(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    quiet.world.add_booked(GIRO, Decimal(-1), description="old")
    frozen = quiet_caller.link("COOP_EKRDEE22", max_historical_days=91)
    fresh = quiet_caller.link("COOP_EKRDEE22", max_historical_days=90)
    before = [texts(rows_of(quiet_caller, one)["booked"]) for one in (frozen, fresh)]

    quiet.advance(timedelta(hours=1))
    quiet.world.add_booked(GIRO, Decimal(-2), description="new")

    after = [texts(rows_of(quiet_caller, one)["booked"]) for one in (frozen, fresh)]
    assert before == [["old"], ["old"]]
    assert after == [["old"], ["new", "old"]]
    truth = quiet_caller.truth(frozen)["accounts"][frozen.accounts[0]]
    assert [one["description"] for one in truth["transactions"]] == ["old"]
    assert Decimal(truth["booked"]) == quiet.world.opening_balance(GIRO) - 3


def test_accounts_are_told_as_the_bank_tells_them(caller: Caller) -> None:
    german = caller.link()
    american = caller.link("AMERICAN_EXPRESS_AESUDEF1")
    sandbox = caller.link("SANDBOXFINANCE_SFIN0000")
    dutch = caller.link("ABNAMRO_ABNANL2A")
    card = caller.get(f"accounts/{german.accounts[2]}/details/")["account"]
    balances = caller.get(f"accounts/{german.accounts[2]}/balances/")["balances"]

    savings = [caller.get(f"accounts/{one.accounts[1]}/details/") for one in (german, dutch)]
    numbers = [one["account"]["bban"] for one in savings]
    assert numbers[0] == numbers[1] != ""
    assert caller.get(f"accounts/{german.accounts[1]}/")["bban"] == numbers[0]
    assert "resourceId" not in savings[1]["account"]
    assert card["cashAccountType"] == "CARD"
    assert card["maskedPan"].startswith("XXXX")
    assert [one["creditLimitIncluded"] for one in balances[:2]] == [False, True]
    giro = caller.get(f"accounts/{german.accounts[0]}/balances/")["balances"]
    assert [one["creditLimitIncluded"] for one in giro[:2]] == [False, False]
    assert caller.get(f"accounts/{american.accounts[0]}/")["iban"].startswith("XXXXXXXXXX")
    assert caller.get(f"accounts/{sandbox.accounts[0]}/")["iban"].startswith("GL")
    assert caller.get(f"accounts/{sandbox.accounts[0]}/")["owner_name"] == "Jane Doe"
    assert caller.get(f"accounts/{dutch.accounts[0]}/")["owner_name"] == ""


def test_equal_seeds_and_clocks_give_equal_bytes() -> None:

    def read() -> list[bytes]:
        with served() as server, Caller(server) as caller:
            linked = caller.link("WISE_TRWIGB22", login="login-3")
            paths = [f"requisitions/{linked.id}/", "institutions/"]
            paths += [f"accounts/{linked.accounts[0]}/{one}" for one in ("", "transactions/")]
            return [caller.http.get(one).content.replace(server.url.encode(), b"") for one in paths]

    assert read() == read()
