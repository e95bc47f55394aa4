"""Complaints 16 to 19: dates, names and currencies that were wrong."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.errors import AccountBlockedError
from bank_pipeline.sandbox.ledger import AccountKind, Party
from bank_pipeline.sync.renormalise import renormalise
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import CHECKING, DAY, NAMELESS, Odd, Scene

MINUTE: Final = timedelta(minutes=1)


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


@pytest.mark.parametrize("bank", NAMELESS, ids=str)
@pytest.mark.parametrize("changes", ["words", "day"])
def test_16_a_row_without_an_id_stays_itself_in_other_words_and_on_another_day(
    put_on: PutOn, bank: Odd, changes: str
) -> None:
    """
    The bank rewrote the text of a row, or moved it by a day, and what was said of it was gone.

    brafdlog/caspion#625, actual#8830, firefly#9961.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    scene.buy("-60.00", "Rent", days_ago=5)
    entry = scene.buy("-3.20", "Tram 17 City", days_ago=2)
    scene.link(institution=bank.institution).sync()
    ids = scene.ids()
    if changes == "words":
        scene.world.change(entry.id, description="Tram City ticket")
    else:
        day = scene.today() - DAY
        scene.world.change(entry.id, booking_date=day, value_date=day)
    scene.next_day()

    assert scene.differences() == []
    assert scene.ids() == ids


@pytest.fixture
def move_to(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Let our machine stand in another time zone."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def test_17_a_day_is_the_banks_wherever_our_machine_stands(
    anywhere: Scene, move_to: Callable[[str], None]
) -> None:
    """
    A date was taken for midnight somewhere, and became the day before elsewhere.

    sure#2668, OCA#1009, wesselt/bunq2ynab#46, opencollective/opencollective#8551,
    frappe/erpnext#22000.
    """
    scene = anywhere.customer()
    bank = scene.world.banks[scene.stage.case.bank_id]
    move_to("Pacific/Kiritimati")  # 14 hours east of UTC
    scene.link()
    for zone, days_ago in (("Pacific/Kiritimati", 2), ("Pacific/Pago_Pago", 1)):  # 11 west of it
        move_to(zone)
        day = scene.today() - days_ago * DAY
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - bank.utc_offset
        for name, moment in (("Early", midnight + MINUTE), ("Late", midnight + DAY - MINUTE)):
            scene.buy(f"-{days_ago}.00", name, days_ago=days_ago, occurred_at=moment)
        scene.sync()
        booked = scene.ask(
            "SELECT DISTINCT date, booking_date FROM analytics.transactions WHERE amount = :sum",
            sum=-days_ago,
        )
        assert booked == [(day, day)]
    assert len(scene.rows()) == 4
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


def test_18_a_better_reading_repairs_old_rows_without_a_call(by_dates: Scene) -> None:
    """
    A rule was mended, and only rows of later syncs knew.

    actual#7799, actual#3907.
    """
    scene = by_dates.customer()
    scene.buy("-3.00", "Blue Cup 4711", party=Party("Blue Cup", "merchant"))
    scene.link().sync()
    named = "SELECT counterparty_name, merchant_name FROM analytics.transactions"
    right = scene.ask(named)
    with scene.stage.context.engine.begin() as db:  # as an older transform had read it
        db.exec_driver_sql(
            "UPDATE bank.transactions SET counterparty_name = 'NOBODY', content_hash = 'old'"
        )
    before = sum(scene.stage.calls().values())
    renormalise(scene.stage.context, scene.connection, since=None, applies=True)

    assert scene.ask(named) == right
    assert sum(scene.stage.calls().values()) == before
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
