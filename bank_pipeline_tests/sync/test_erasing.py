"""A team is erased, whatever dies on the way, and nothing else is."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.access import KeyScope
from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.erasure import REMAINDERS, ErasureState
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.errors import BankPipelineError, NotFoundError, RefusedError
from bank_pipeline.providers.retry import Retry
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.api_keys import insert_api_key
from bank_pipeline.storage.audit import AuditFilter, list_audit
from bank_pipeline.storage.connections import ensure_team, load_team
from bank_pipeline.storage.consents import insert_consent_to_end
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.storage.team_rows import rows_of, team_tables
from bank_pipeline.sync.audit import verify_audit
from bank_pipeline.sync.erasing import (
    ask_erasure,
    continue_erasures,
    erase_team,
    load_erasure_due,
)
from bank_pipeline_tests.scanning import places, scan_cluster, scan_files
from bank_pipeline_tests.sync.ground import CHECKING, READY, SYNC, Ground, build_provider
from bank_pipeline_tests.sync.killing import Killer
from bank_pipeline_tests.sync.leaks import Canaries
from bank_pipeline_tests.waiting import wait_until

GOING: Final = "canary-team-that-goes"
STAYING: Final = "canary-team-that-stays"
STEP: Final = 25  # points between two deaths
LONG_ENOUGH: Final = 12  # characters that no other text has by chance
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Teams:
    """Two teams with a bank each; the second one's rows as they were."""

    ground: Ground
    going: TeamId
    going_connection: ConnectionId
    staying_connection: ConnectionId
    staying: TeamId

    def erase(self, **named: Any) -> Any:
        return erase_team(self.ground.context, GOING, forget=forgets, **named)

    def rows(self, team_id: TeamId) -> dict[str, list[Any]]:
        with self.ground.engine.connect() as db:
            return {
                table.name: sorted(
                    map(repr, db.execute(sa.select(table).where(rows_of(table, team_id))))
                )
                for table in team_tables()
            }


def forgets(_: object) -> bool:
    """Stand for a Dagster that never ran."""
    return True


@pytest.fixture
def teams(ground: Ground) -> Teams:
    ground.world.add_booked(CHECKING, Decimal("-12.34"), description="canary purchase of theirs")
    ground.world.add_booked("acc-3-1", Decimal("-7.77"), description="purchase of the others")
    linked: dict[str, ConnectionId] = {}
    for team, login in ((GOING, "login-1"), (STAYING, "login-3")):
        session_id, url = ground.begin_link(team=team)
        ground.decide(url, login)
        [linked[team]] = ground.complete(session_id).connection_ids
        ground.begin_link(team=team)  # one that nobody ends
    ground.pass_time(READY)
    for connection_id in linked.values():
        ground.sync(connection_id)
    with ground.engine.begin() as db:
        for team in linked:
            insert_api_key(
                db,
                load_team(db, team),
                name=f"{team} key",
                scope=KeyScope.READ,
                now=ground.context.clock(),
            )
        ids = {team: load_team(db, team) for team in linked}
    return Teams(ground, ids[GOING], linked[GOING], linked[STAYING], ids[STAYING])


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with Killer() as one:
        yield one


def canaries_of(teams: Teams) -> Canaries:
    """Look out for every text and id that is only this team's."""
    canaries = Canaries()
    others = {text for texts in _texts(teams, teams.staying).values() for text in texts}
    others |= _texts_of_nobody(teams)
    for column, texts in _texts(teams, teams.going).items():
        for text in texts - others:
            canaries.add(f"{column}={text[:60]}", text)
    for item in teams.ground.sandbox.plaid.items:
        canaries.add(f"token of {item.item_id}", item.access_token)
    return canaries


def _texts(teams: Teams, team_id: TeamId) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with teams.ground.engine.connect() as db:
        for table in team_tables():
            for column in table.c:
                query = sa.select(sa.cast(column, sa.Text)).where(rows_of(table, team_id))
                if isinstance(column.type, sa.Text | sa.Uuid):
                    texts = {
                        text for text in db.scalars(query) if text and len(text) >= LONG_ENOUGH
                    }
                    found[f"{table.name}.{column.name}"] = texts
    return found


def _texts_of_nobody(teams: Teams) -> set[str]:
    """Return the names of the banks that there are, and of columns and types."""
    return {
        row[0]
        for row in teams.ground.query(
            "SELECT external_id FROM bank.institutions UNION SELECT name FROM bank.institutions"
            " UNION SELECT attname::text FROM pg_attribute"
        )
    }


def left(teams: Teams, canaries: Canaries) -> set[str]:
    """Return the columns and files in which something is; a sample counts as its column."""
    return {place.removeprefix("sample of ") for place in _places(teams, canaries)}


def _places(teams: Teams, canaries: Canaries) -> set[str]:
    url = teams.ground.engine.url
    server = url.render_as_string(hide_password=False)
    assert url.database is not None
    found = scan_cluster(server, canaries, databases=[url.database])
    found += scan_files([teams.ground.cache_dir], canaries)
    return places(found)


DOCUMENTED: Final = {
    "bank.audit_log.team_id",
    "bank.audit_log.connection_id",
    "bank.audit_log.details",
    "bank.erasures.team_id",
    "bank.erasures.connection_ids",
}


def test_of_an_erased_team_only_what_is_documented_is_left(teams: Teams) -> None:
    canaries = canaries_of(teams)
    before = teams.rows(teams.staying)
    assert left(teams, canaries) >= {
        "bank.teams.name",
        "bank.transactions.cleaned_description",
    }

    [report] = teams.erase()

    assert report.is_done
    assert report.counts["accounts"] > 0
    assert left(teams, canaries) <= DOCUMENTED
    assert teams.rows(teams.staying) == before
    assert teams.ground.calls("/item/remove") == 1
    teams.ground.sync(teams.staying_connection)
    assert teams.ground.differences(teams.staying_connection) == []
    assert {place for one in REMAINDERS for place in one.place.split(", ")} >= {
        "bank.audit_log",
        "bank.erasures",
    }


@pytest.mark.large
@pytest.mark.timeout(300)
def test_killed_again_and_again_it_is_done_in_the_end(teams: Teams, killer: Killer) -> None:
    """Each life goes a little further; the last one finds hardly anything to do."""
    canaries = canaries_of(teams)
    before = teams.rows(teams.staying)
    deaths = 0
    for point in range(STEP, 1_000, STEP):
        death = killer.kill(teams.ground, point, act="erase", team=GOING)
        if not death.was_killed:
            break
        deaths += 1

    assert deaths >= 3
    [report] = _finish(teams)
    assert report.is_done
    assert left(teams, canaries) <= DOCUMENTED
    assert teams.rows(teams.staying) == before
    assert verify_audit(teams.ground.context).is_whole


def _finish(teams: Teams) -> Any:
    try:
        return teams.erase()
    except NotFoundError:  # the last life was long enough
        [state] = teams.ground.query("SELECT state FROM bank.erasures")
        assert state[0] == ErasureState.DONE
        return [_Done()]


class _Done:
    is_done = True


def test_a_consent_of_an_abandoned_link_is_ended_after_its_team_is_gone(teams: Teams) -> None:
    """Its secret is what ends it: it stays, as nobody's, for as long as that takes."""
    context = teams.ground.context
    with teams.ground.engine.begin() as db:
        insert_consent_to_end(
            db,
            Provider.GOCARDLESS,
            SecretStr("a requisition"),
            connection_id=None,
            team_id=teams.going,
            reason="the link was abandoned",
            vault=context.vault,
            now=context.clock(),
        )

    [report] = teams.erase()

    assert report.is_done
    left = "SELECT team_id, ended_at FROM bank.consents_to_end WHERE connection_id IS NULL"
    assert teams.ground.query(left) == [(None, None)]


def test_a_sync_under_way_brings_nothing_back(teams: Teams) -> None:
    """It waits for its bank while the team is erased, and writes when all should be gone."""
    teams.ground.fail(SYNC, FaultKind.HANG, seconds=60)
    patient = build_provider(teams.ground.sandbox.url, Retry(1, 60.0, lambda _: None), timeout_s=60)
    context = replace(teams.ground.context, providers={Provider.PLAID: patient})
    with closing(patient), ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(replace(teams.ground, context=context).sync, teams.going_connection)
        wait_until(
            lambda: bool(teams.ground.query("SELECT 1 FROM bank.sync_runs WHERE ended_at IS NULL")),
            seconds=10,
        )
        [report] = teams.erase()
        assert not report.is_done
        assert report.waits_for is not None
        assert report.next_attempt_at is not None
        teams.ground.sandbox.plaid.released.set()
        with pytest.raises(BankPipelineError):
            syncing.result(30)

    teams.ground.pass_time(timedelta(minutes=2))
    assert load_erasure_due(teams.ground.context) is not None
    [report] = continue_erasures(teams.ground.context, forget=forgets)

    assert report.is_done
    with pytest.raises(NotFoundError):
        teams.ground.sync(teams.going_connection)
    assert not any(
        teams.rows(teams.going)[name] for name in ("accounts", "raw_payloads", "sync_runs")
    )


def test_a_provider_that_does_not_answer_is_waited_for(teams: Teams) -> None:
    """Visible, with a next try; the rows are kept as long as the consent, and no longer."""
    teams.ground.fail("/item/remove", "INTERNAL_SERVER_ERROR", times=None)

    [report] = teams.erase()

    assert report.state is ErasureState.CONSENTS
    assert "not ended at the provider yet" in (report.waits_for or "")
    assert report.next_attempt_at is not None
    assert report.next_attempt_at > teams.ground.context.clock()
    assert continue_erasures(teams.ground.context, forget=forgets) == []
    assert teams.rows(teams.going)["accounts"]

    teams.ground.sandbox.faults.clear()
    teams.ground.pass_time(DAY)
    [report] = continue_erasures(teams.ground.context, forget=forgets)
    assert report.is_done


def test_a_consent_that_nobody_can_end_may_be_given_up(teams: Teams) -> None:
    teams.ground.fail("/item/remove", "INTERNAL_SERVER_ERROR", times=None)
    assert not teams.erase()[0].is_done

    assert teams.erase(gives_up=True)[0].is_done
    assert not any(rows for name, rows in teams.rows(teams.going).items() if name != "audit_log")


def test_what_dagster_has_not_forgotten_is_waited_for(teams: Teams) -> None:
    asked: list[Any] = []

    def forget(ids: Any) -> bool:
        asked.append([*ids])
        return len(asked) > 1

    [report] = erase_team(teams.ground.context, GOING, forget=forget)
    assert (report.state, report.is_done) == (ErasureState.TRACES, False)
    assert load_team_of(teams, GOING) == teams.going

    [report] = erase_team(teams.ground.context, GOING, forget=forget)
    assert report.is_done
    assert asked == [[teams.going_connection]] * 2


def load_team_of(teams: Teams, name: str) -> str:
    [row] = teams.ground.query("SELECT id::text FROM bank.teams WHERE name = :name", name=name)
    return str(row[0])


def test_nothing_is_added_to_a_team_that_is_being_erased(teams: Teams) -> None:
    """No link is begun, none that was begun is ended, and no key opens."""
    session_id, url = teams.ground.begin_link(team=GOING)
    teams.ground.decide(url, "login-2")
    ask_erasure(teams.ground.context, GOING)

    with pytest.raises(RefusedError, match="being erased"):
        teams.ground.begin_link(team=GOING)
    with pytest.raises(NotFoundError):
        teams.ground.complete(session_id)
    with teams.ground.engine.connect() as db, pytest.raises(RefusedError):
        load_team(db, GOING)
    assert teams.rows(teams.going)["api_keys"] == []


def test_a_connection_that_was_linked_at_the_last_moment_goes_too(teams: Teams) -> None:
    """Somebody had asked the provider before the erasure began, and stores what they got after."""
    ask_erasure(teams.ground.context, GOING)
    teams.ground.execute(
        "INSERT INTO bank.connections (id, team_id, provider, external_id, status, status_since,"
        " history_stage, created_at) SELECT gen_random_uuid(), team_id, provider, 'late',"
        " 'pending', created_at, history_stage, created_at FROM bank.connections"
        " WHERE team_id = :id",
        id=teams.going,
    )

    assert teams.erase()[0].is_done
    assert teams.ground.query("SELECT 1 FROM bank.connections WHERE external_id = 'late'") == []


def test_a_busy_connection_is_waited_for(teams: Teams) -> None:
    with connection_lock(teams.ground.engine, teams.going_connection):
        [report] = teams.erase()
    assert not report.is_done
    assert report.next_attempt_at is not None

    assert teams.erase()[0].is_done


def test_the_audit_log_tells_who_erased_and_what(teams: Teams) -> None:
    teams.erase()

    with teams.ground.engine.connect() as db:
        entries = list_audit(db, AuditFilter(team_id=teams.going), limit=100)
    actions = [one.action for one in reversed(entries)]
    assert actions[:1] == [AuditAction.LINKED]
    assert actions[-1] == AuditAction.ERASED
    assert {AuditAction.SYNCED, AuditAction.ERASE_ASKED, AuditAction.CONSENT_ENDED} <= {*actions}
    assert entries[0].details["accounts"] == 4


def test_an_erased_team_may_begin_anew(teams: Teams) -> None:
    teams.erase()

    with teams.ground.engine.begin() as db:
        again = ensure_team(db, GOING, now=teams.ground.context.clock())
    assert again != teams.going
    with pytest.raises(NotFoundError):
        erase_team(teams.ground.context, "nobody", forget=forgets)


def test_samples_of_columns_do_not_outlive_their_rows(teams: Teams) -> None:
    """The planner's statistics quote values; those of a table that is empty now, too."""
    canaries = canaries_of(teams)
    erase_team(teams.ground.context, STAYING, forget=forgets)  # so that tables become empty
    with teams.ground.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.exec_driver_sql("ANALYZE")
    sampled = {place for place in _places(teams, canaries) if place.startswith("sample of ")}
    assert "sample of bank.accounts.connection_id" in sampled

    teams.erase()

    assert left(teams, canaries) <= DOCUMENTED
