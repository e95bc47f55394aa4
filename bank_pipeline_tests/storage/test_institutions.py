"""Institutions: whole lists, of which only differences are written, and single descriptions."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.institutions import (
    InstitutionCounts,
    add_popularity,
    learn_history_days,
    load_history_days,
    load_institution,
    save_institution,
    save_institutions,
)
from bank_pipeline_tests.waiting import wait_until

PLAID: Final = Provider.PLAID
DAY: Final = timedelta(days=1)
BANK: Final = Institution(
    provider=PLAID,
    external_id="ins_1",
    name="Crédit “Ümläut” \\ Öre",
    countries=("CA", "US"),
    bic="OEREFRPP",
    url="https://bank.example",
    logo_url="https://bank.example/logo.png",
    is_oauth=True,
    is_beta=False,
    customer_kinds=("business", "personal"),
    history_days_max=730,
    consent_days_max=90,
)


def banks(count: int, *, first: int = 1, **fields: Any) -> list[Institution]:
    """Make banks `ins_1`, `ins_2` and so on."""
    return [
        BANK.model_copy(update={"external_id": f"ins_{n}", "name": f"Bank {n}", **fields})
        for n in range(first, first + count)
    ]


def versions(db: sa.Connection) -> dict[str, tuple[Any, ...]]:
    """Return each row with the version that Postgres gives it at every write."""
    columns = "external_id, xmin::text, ctid::text, removed_at, fetched_at"
    rows = db.execute(sa.text(f"SELECT {columns} FROM bank.institutions"))
    return {row[0]: tuple(row[1:]) for row in rows}


def live(db: sa.Connection) -> set[str]:
    return {external_id for external_id, row in versions(db).items() if row[2] is None}


def test_a_list_comes_back_as_it_was_saved(db: sa.Connection, now: datetime) -> None:
    counts = save_institutions(db, PLAID, [BANK, *banks(2, first=2)], now=now)

    assert counts == InstitutionCounts(inserted=3)
    assert load_institution(db, PLAID, "ins_1") == BANK
    assert load_institution(db, Provider.TELLER, "ins_1") is None


def test_the_same_list_again_writes_nothing(db: sa.Connection, now: datetime) -> None:
    """No row has a new version, however the list and the countries in it are ordered."""
    save_institutions(db, PLAID, banks(5), now=now)
    db.commit()
    before = versions(db)
    again = banks(5, countries=("US", "CA"))[::-1]

    counts = save_institutions(db, PLAID, again, now=now + DAY)

    assert counts == InstitutionCounts(unchanged=5)
    assert versions(db) == before
    lsn = db.scalar(sa.text("SELECT pg_current_xact_id_if_assigned()"))
    assert lsn is None, "a transaction that writes has an id"


def test_only_what_changed_is_written(db: sa.Connection, now: datetime) -> None:
    save_institutions(db, PLAID, banks(4), now=now)
    db.commit()
    before = versions(db)
    renamed = banks(1)[0].model_copy(update={"name": "New Name", "bic": None})

    counts = save_institutions(db, PLAID, [renamed, *banks(4, first=2)], now=now + DAY)

    assert counts == InstitutionCounts(inserted=1, updated=1, unchanged=3)
    assert load_institution(db, PLAID, "ins_1") == renamed
    after = versions(db)
    assert {id_ for id_, row in before.items() if after[id_] != row} == {"ins_1"}


def test_a_bank_that_is_gone_is_removed_and_restored_when_it_is_back(
    db: sa.Connection, now: datetime
) -> None:
    """What we learned of it ourselves outlives its absence."""
    save_institutions(db, PLAID, banks(3), now=now)
    add_popularity(db, PLAID, "ins_3")
    learn_history_days(db, PLAID, "ins_3", 89)

    gone = save_institutions(db, PLAID, banks(2), now=now + DAY)
    while_gone = versions(db)["ins_3"][2]
    still_gone = save_institutions(db, PLAID, banks(2), now=now + 2 * DAY)
    unmoved = versions(db)["ins_3"][2]
    back = save_institutions(db, PLAID, banks(3), now=now + 3 * DAY)

    assert gone == InstitutionCounts(removed=1, unchanged=2)
    assert while_gone == unmoved == now + DAY
    assert still_gone == InstitutionCounts(unchanged=2)
    assert back == InstitutionCounts(updated=1, unchanged=2)
    assert live(db) == {"ins_1", "ins_2", "ins_3"}
    popularity = "SELECT popularity FROM bank.institutions WHERE external_id = 'ins_3'"
    assert db.scalar(sa.text(popularity)) == 1
    assert load_history_days(db, PLAID, "ins_3") == 89


def test_one_providers_list_says_nothing_of_another(db: sa.Connection, now: datetime) -> None:
    save_institutions(db, PLAID, banks(2), now=now)
    others = banks(2, first=7, provider=Provider.TELLER)

    save_institutions(db, Provider.TELLER, others, now=now)

    assert live(db) == {"ins_1", "ins_2", "ins_7", "ins_8"}


@pytest.mark.parametrize("listed", [0, 4])
def test_a_torn_list_is_refused(db: sa.Connection, now: datetime, listed: int) -> None:
    """A list that is empty, or has lost most banks, is a failure in disguise."""
    save_institutions(db, PLAID, banks(10), now=now)
    db.commit()
    before = versions(db)
    torn = banks(listed, name="Renamed")

    with pytest.raises(SetupError, match="nothing was changed"):
        save_institutions(db, PLAID, torn, now=now)

    assert versions(db) == before


def test_an_empty_list_is_refused_on_an_empty_table(db: sa.Connection, now: datetime) -> None:
    """Even when removals are accepted: nobody uses a provider without banks."""
    with pytest.raises(SetupError, match="no bank"):
        save_institutions(db, PLAID, [], now=now, accept_removals=True)


def test_a_shorter_list_can_be_accepted(db: sa.Connection, now: datetime) -> None:
    """Fewer countries are asked for: the operator knows that most banks are gone."""
    save_institutions(db, PLAID, banks(10), now=now)

    counts = save_institutions(db, PLAID, banks(2), now=now, accept_removals=True)

    assert counts == InstitutionCounts(removed=8, unchanged=2)


def test_half_of_the_banks_may_go(db: sa.Connection, now: datetime) -> None:
    save_institutions(db, PLAID, banks(10), now=now)

    assert save_institutions(db, PLAID, banks(5), now=now).removed == 5


def test_a_longer_list_is_not_torn(db: sa.Connection, now: datetime) -> None:
    """One bank was known from a link, in a country that the list does not hold."""
    save_institution(db, BANK, now=now)

    counts = save_institutions(db, PLAID, banks(3, first=2), now=now)

    assert counts == InstitutionCounts(inserted=3, removed=1)


def test_a_bank_that_cannot_be_read_stays(db: sa.Connection, now: datetime) -> None:
    """It is in the list; only what it says today does not fit."""
    save_institutions(db, PLAID, banks(4), now=now)

    counts = save_institutions(db, PLAID, banks(2), now=now, unreadable=["ins_4"])

    assert counts == InstitutionCounts(removed=1, unchanged=2)
    assert live(db) == {"ins_1", "ins_2", "ins_4"}


@pytest.mark.parametrize("unknown", [None, "another name of ins_3"])
def test_an_unreadable_bank_that_we_do_not_know_may_be_any(
    db: sa.Connection, now: datetime, unknown: str | None
) -> None:
    """So none is concluded to be gone."""
    save_institutions(db, PLAID, banks(4), now=now)

    counts = save_institutions(db, PLAID, banks(2), now=now, unreadable=["ins_4", unknown])

    assert counts == InstitutionCounts(unchanged=2)
    assert live(db) == {"ins_1", "ins_2", "ins_3", "ins_4"}


def test_the_last_description_counts(db: sa.Connection, now: datetime) -> None:
    """Saved twice it is one institution, as described the second time, when that differs."""
    renamed = BANK.model_copy(update={"name": "First Bank Plc", "is_oauth": None})
    save_institution(db, BANK, now=now)
    save_institution(db, BANK, now=now + DAY)
    first_seen = versions(db)["ins_1"][3]
    save_institution(db, renamed, now=now + DAY)

    assert load_institution(db, PLAID, "ins_1") == renamed
    assert (first_seen, versions(db)["ins_1"][3]) == (now, now + DAY)


def test_to_describe_a_removed_bank_does_not_offer_it(db: sa.Connection, now: datetime) -> None:
    """Its connections live on and ask for it; only the list says what can be linked."""
    save_institutions(db, PLAID, banks(3), now=now)
    save_institutions(db, PLAID, banks(2), now=now)
    renamed = banks(1, first=3)[0].model_copy(update={"name": "Merged Bank"})

    save_institution(db, renamed, now=now)

    assert load_institution(db, PLAID, "ins_3") == renamed
    assert live(db) == {"ins_1", "ins_2"}


def test_learned_history_is_only_ever_lowered(db: sa.Connection, now: datetime) -> None:
    """And no list of the provider's takes it back."""
    save_institutions(db, PLAID, banks(2, history_days_max=365), now=now)
    known = [load_history_days(db, PLAID, "ins_1")]

    news = [learn_history_days(db, PLAID, "ins_1", days) for days in (180, 180, 730, 89)]
    save_institutions(db, PLAID, banks(2, history_days_max=540), now=now)
    known += [load_history_days(db, PLAID, "ins_1"), load_history_days(db, PLAID, "ins_2")]

    assert news == [True, False, False, True]
    assert known == [365, 89, 540]


def test_a_stated_limit_counts_where_it_is_lower(db: sa.Connection, now: datetime) -> None:
    save_institutions(db, PLAID, banks(1, history_days_max=90), now=now)
    learn_history_days(db, PLAID, "ins_1", 180)

    assert load_history_days(db, PLAID, "ins_1") == 90


@pytest.mark.parametrize("days", [0, -1, 10**12])
def test_a_limit_that_makes_no_sense_is_unknown(
    db: sa.Connection, now: datetime, days: int
) -> None:
    """It fails neither its bank nor the whole list."""
    save_institutions(db, PLAID, banks(2, history_days_max=days, consent_days_max=days), now=now)

    assert load_history_days(db, PLAID, "ins_1") is None
    saved = load_institution(db, PLAID, "ins_2")
    assert saved is not None
    assert saved.consent_days_max is None


def test_of_an_unknown_bank_nothing_is_kept(db: sa.Connection, now: datetime) -> None:
    """Unknown stays unknown: no row comes of it, and no limit is None rather than a guess."""
    save_institutions(db, PLAID, banks(1, history_days_max=None), now=now)

    assert learn_history_days(db, PLAID, "ins_9", 90) is False
    add_popularity(db, PLAID, "ins_9")

    assert load_history_days(db, PLAID, "ins_9") is None
    assert load_history_days(db, PLAID, "ins_1") is None
    assert live(db) == {"ins_1"}


def test_two_readers_of_one_list_write_it_once(engine: sa.Engine, now: datetime) -> None:
    """The second waits for the first and compares with what that wrote."""

    def save() -> InstitutionCounts:
        with engine.begin() as db:
            return save_institutions(db, PLAID, banks(3), now=now)

    def is_somebody_waiting() -> bool:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )
        with engine.connect() as db:
            return bool(db.scalar(sa.text(query)))

    with ThreadPoolExecutor(1) as pool, engine.begin() as db:
        first = save_institutions(db, PLAID, banks(3), now=now)
        second = pool.submit(save)
        wait_until(is_somebody_waiting, seconds=10)
        db.commit()

    assert first == InstitutionCounts(inserted=3)
    assert second.result() == InstitutionCounts(unchanged=3)


def test_a_long_list_takes_as_few_statements_as_a_short_one(
    db: sa.Connection, now: datetime
) -> None:
    """New, changed and gone: a provider offers up to 12,000 banks."""
    sent: list[str] = []
    sa.event.listen(db, "before_cursor_execute", lambda *told: sent.append(told[2]))
    counted = []
    for size in (2, 400):
        sent.clear()
        save_institutions(db, PLAID, banks(size), now=now)
        save_institutions(db, PLAID, banks(size, first=2, name="Renamed"), now=now)
        counted.append(len(sent))

    assert counted[0] == counted[1] < 10
