"""Complaints 13 to 19: numbers, dates, names and currencies that were wrong."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.errors import AccountBlockedError, TransientError
from bank_pipeline.providers.base import Scope
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind, Party
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import CHECKING, DAY, Odd, Scene, late_by

CARD: Final = AccountKind.CREDIT_CARD
CARDS: Final = (
    Odd("plaid", "", "us-harbor"),  # debt is positive there
    Odd("teller", "", "us-harbor"),
    Odd("gocardless", "MUERITZ_MRTZDE21XXX", "de-mueritz"),  # what is available contains the limit
    Odd("gocardless", "AMERICAN_EXPRESS_AESUDEF1", "de-mueritz"),  # one balance: information
    Odd("gocardless", "SEB_KORT_AB_SE_SKHSFI21", "fr-soleil"),  # debt is positive, in two parts
    Odd("enable_banking", "DE:Sparkasse Müritz-Öchtringen", "de-mueritz"),
    Odd("enable_banking", "PL:mBank", "ca-boreal"),  # only what is left of the limit
)
BALANCES: Final = "SELECT kind, amount, observed_at FROM bank.balances ORDER BY id"


@pytest.mark.parametrize("bank", CARDS, ids=lambda bank: bank.institution or bank.provider)
def test_13_a_cards_debt_is_negative_and_what_is_left_of_its_limit_is_no_debt(
    put_on: PutOn, bank: Odd
) -> None:
    """
    A card's balance had the wrong sign, or the credit that was left was shown as debt.

    sure#2458, sure#2512, sure#2933, sure#3252, securo#800, actual-server#261,
    milanave/LunchSync#9, buckets#574, buckets#678.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    scene.buy("-845.10", "Sofa", CARD)
    scene.buy("100.00", "Payment", CARD)
    scene.link(CARD, institution=bank.institution or None).sync()

    truth = scene.world.truth(scene.account(CARD), scene.world.clock.now())
    shown = "SELECT booked_balance, available_balance FROM analytics.accounts"
    [(booked, available)] = scene.ask(shown)
    assert truth.booked is not None
    assert truth.booked < 0
    assert booked in (truth.booked, None)
    assert available in (truth.available, None)
    assert {row.amount for row in scene.rows()} == {Decimal("-845.10"), Decimal("100.00")}
    assert scene.ask("SELECT 1 FROM bank.balances WHERE provider_type = ''") == []
    assert scene.differences() == []


def test_14_a_balance_that_was_not_told_is_the_last_one_with_its_date_and_no_zero(
    by_dates: Scene,
) -> None:
    """
    The balance call failed, and the account was worth nothing.

    securo#698.
    """
    scene = by_dates.customer()
    scene.buy("-60.00", "Rent")
    scene.link().sync()
    before = scene.ask(BALANCES)
    assert before
    dated = "SELECT booked_balance, booked_balance_as_of FROM analytics.accounts"
    known = scene.ask(dated)

    scene.stage.pass_time(DAY)
    scene.buy("-7.00")
    balances = scene.stage.case.operations[Scope.BALANCES]
    scene.fail(FaultKind.HTTP_STATUS, balances, status=503, times=None)
    with pytest.raises(TransientError):
        scene.sync()

    assert scene.ask(BALANCES) == before
    assert scene.ask(dated) == known
    assert len(scene.rows()) == 2  # the rows came, and landed
    scene.stage.heal()
    scene.next_day()
    assert scene.differences() == []


def test_14_a_bank_without_balances_has_none(gocardless: Scene) -> None:
    """
    An account without a balance was shown as empty.

    securo#698.
    """
    scene = gocardless.customer("fr-soleil")
    scene.buy("-60.00", "Rent")
    scene.link(institution="PAYPAL_PPLXLULL").sync()

    assert scene.ask(BALANCES) == []
    assert scene.ask("SELECT booked_balance, available_balance FROM analytics.accounts") == [
        (None, None)
    ]


def test_15_a_balance_that_its_rows_do_not_explain_is_corrected_by_nobody(
    gocardless: Scene,
) -> None:
    """
    Balance and rows drifted apart; other software hid that behind a row that it made up.

    sure#2497, sure#3573, actual#4799, actual#6289, securo#423.
    """
    scene = gocardless.customer()
    late_by(scene, 45)  # earlier than anybody looks
    scene.next_day()

    truth = scene.world.truth(scene.account(), scene.world.clock.now())
    assert scene.value("SELECT booked_balance FROM analytics.accounts") == truth.booked
    assert {row.amount for row in scene.rows()} <= {Decimal("-60.00"), Decimal("-7.00")}


def test_16_every_date_is_kept_and_the_booking_date_comes_first(enable_banking: Scene) -> None:
    """
    One date was stored, and it was not the one that people looked for.

    firefly#5311, firefly#7658, firefly#9961, OCA#689.
    """
    scene = enable_banking.customer()
    day = scene.today()
    scene.buy(booking_date=day - 1 * DAY, value_date=day - 2 * DAY, transaction_date=day - 3 * DAY)
    scene.link().sync()

    [dates] = scene.ask(
        "SELECT date, booking_date, value_date, transaction_date FROM analytics.transactions"
    )
    assert [*dates] == [day - number * DAY for number in (1, 1, 2, 3)]


@pytest.mark.parametrize(
    "bank",
    [
        Odd("gocardless", "ABNAMRO_ABNANL2A", "de-mueritz"),  # the day is in a time of value
        Odd("gocardless", "ENTERCARD_SWEDNOKK", "fr-soleil"),  # a day late
    ],
    ids=str,
)
def test_16_where_a_bank_hides_the_date_it_is_found(put_on: PutOn, bank: Odd) -> None:
    """
    Rows without the usual date were lost, or dated by when they were read.

    firefly#9978, firefly#7658.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    for days_ago in range(8):
        scene.buy(f"-{days_ago + 1}.00", days_ago=days_ago)
    scene.link(institution=bank.institution).sync()

    assert len(scene.rows()) == 8
    assert scene.differences() == []


def test_16_a_row_without_a_booking_date_is_stored_once_by_the_dates_it_has(
    enable_banking: Scene,
) -> None:
    """
    Some rows of the bank have no booking date, which was then today's, on every day.

    firefly#9978, firefly#7658.
    """
    scene = enable_banking.customer("de-mueritz")
    for days_ago in range(1, 21):
        scene.buy(f"-{days_ago}.00", days_ago=days_ago)
    scene.link(CHECKING, AccountKind.SAVINGS, institution="SE:Nullbanken")
    for _ in range(2):
        with pytest.raises(AccountBlockedError):  # it gives its last account no id
            scene.sync()
        scene.stage.pass_time(DAY)

    assert len(scene.rows()) == 20
    assert scene.differences() == []


def test_16_a_date_that_changes_makes_no_second_row(anywhere: Scene) -> None:
    """
    The bank moved a row to another day, and there were two.

    firefly#9961, OCA#689.
    """
    scene = anywhere.customer()
    scene.buy("-60.00", "Rent", days_ago=9)
    entry = scene.buy("-12.00", "Late shop", days_ago=3)
    scene.link().sync()
    ids = scene.ids()
    day = scene.today() - 2 * DAY
    scene.world.change(entry.id, booking_date=day, value_date=day)
    scene.next_day()

    assert scene.ids() == ids
    assert scene.differences() == []


@pytest.fixture(params=["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def far_from_the_bank(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Our machine stands 14 hours east of UTC, or 11 west of it."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_the_bank")
def test_17_a_day_is_the_banks_wherever_our_machine_stands(anywhere: Scene) -> None:
    """
    A date was taken for midnight somewhere, and became the day before elsewhere.

    sure#2668, OCA#1009, wesselt/bunq2ynab#46, opencollective/opencollective#8551,
    frappe/erpnext#22000.
    """
    scene = anywhere.customer()
    bank = scene.world.banks[scene.stage.case.bank_id]
    day = scene.today() - 2 * DAY
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - bank.utc_offset
    for name, at in (("Early", midnight), ("Late", midnight + DAY)):
        moment = at + DAY / 1440 * (1 if name == "Early" else -1)
        scene.buy("-3.00", name, days_ago=2, occurred_at=moment)
    scene.link().sync()

    booked = scene.ask("SELECT DISTINCT date, booking_date FROM analytics.transactions"
                       " WHERE amount = -3")  # fmt: skip
    assert booked == [(day, day)]
    assert scene.differences() == []


@pytest.mark.parametrize(
    "bank",
    [
        Odd("gocardless", "BELFIUS_GKCCBEBB", "fr-soleil"),
        Odd("gocardless", "REVOLUT_REVOLT21", "gb-meridian"),
        Odd("enable_banking", "NL:ABN AMRO", "de-mueritz"),  # names the holder on either side
        Odd("enable_banking", "FR:Crédit du Soleil", "fr-soleil"),
    ],
    ids=str,
)
def test_18_the_other_side_is_named_and_never_the_holder(put_on: PutOn, bank: Odd) -> None:
    """
    The payee was missing, or the holder paid themselves.

    actual-server#331, actual-server#348, actual#1588, actual#3034, actual#3907, actual#8738,
    actual#7799, sure#2935.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    holder = scene.world.logins[scene.login].person_name
    shop, employer = Party("Blue Cup", "merchant"), Party("Wide Wages", "merchant")
    scene.buy("-3.00", "Blue Cup 4711", party=shop)
    scene.buy("900.00", "Wages May", party=employer)
    scene.buy("-7.00", "Card 1234", party=None)  # as of banks that stopped to tell
    scene.link(institution=bank.institution).sync()

    named = scene.ask("SELECT amount, counterparty_name FROM analytics.transactions")
    names = {row[0]: row[1] for row in named}
    assert names[Decimal("-3.00")] == "Blue Cup"
    assert names[Decimal("900.00")] == "Wide Wages"
    assert holder not in names.values()
    assert scene.differences() == []


def test_19_two_currencies_behind_one_iban_are_two_accounts(european: Scene) -> None:
    """
    Euros and dollars of one IBAN were one account, and a renewal mixed what was apart.

    firefly#2705, firefly#7977, firefly#10453, importer#523, OCA#731.
    """
    scene = european.customer("gb-meridian")
    pounds, yen, *_ = scene.world.login_accounts(scene.login)
    scene.world.change_account(yen.id, iban=pounds.iban)
    for account, amount in ((pounds, "-3.00"), (yen, "-300")):
        scene.world.add_booked(account.id, Decimal(amount))
    scene.link()
    scene.sync()
    per_account = (
        "SELECT account_id::text, a.currency, sum(amount) FROM analytics.transactions t"
        " JOIN analytics.accounts a USING (account_id) WHERE a.currency IN ('GBP', 'JPY')"
        " GROUP BY 1, 2 ORDER BY 2"
    )
    before = scene.ask(per_account)
    assert [(row[1], row[2]) for row in before] == [("GBP", Decimal(-3)), ("JPY", Decimal(-300))]

    state = scene.stage.consent(scene.login, CHECKING, renews=scene.connection)
    assert state.connection_ids == (scene.connection,)
    scene.next_day()

    assert scene.ask(per_account) == before
    assert scene.differences() == []


def test_19_a_currency_that_is_not_told_is_taken_from_the_balances_and_never_xxx(
    enable_banking: Scene,
) -> None:
    """
    XXX stands for no currency, and was stored as one.

    firefly#7977.
    """
    scene = enable_banking.customer("fr-soleil")
    scene.buy("-3.00")
    scene.link(institution="FR:Boursorama").sync()

    found = "SELECT a.currency, t.currency FROM analytics.accounts a JOIN analytics.transactions t"
    assert scene.ask(f"{found} USING (account_id)") == [("EUR", "EUR")]
    every = "SELECT currency FROM bank.accounts UNION SELECT currency FROM bank.balances"
    assert ("XXX",) not in scene.ask(every)
    assert scene.differences() == []
