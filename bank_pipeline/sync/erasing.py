"""
Erase a team: its consents end at their providers, then all that is known of it goes.

A row says how far it has come. Each step may be repeated, so that a crash at any point costs
nothing but its repetition; the name of the team goes last but one, so that it can be asked for.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.erasure import ErasureState
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.errors import NotFoundError, SetupError
from bank_pipeline.storage.analysts import close_analyst, drop_login, list_logins_of
from bank_pipeline.storage.columns import SCHEMA
from bank_pipeline.storage.consents import give_up_consents
from bank_pipeline.storage.erasures import (
    Erasure,
    delete_api_keys_of,
    delete_team,
    insert_erasure,
    load_connections_to_erase,
    load_newest_erasure,
    load_open_erasures,
    lock_team,
    set_step,
    set_waiting,
)
from bank_pipeline.storage.samples import refresh_samples
from bank_pipeline.storage.team_rows import count_rows
from bank_pipeline.storage.teams import load_team_by
from bank_pipeline.sync.audit import note
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.ending import end_consents
from bank_pipeline.sync.linked import abandon_links

Forget = Callable[[Sequence[ConnectionId]], bool]
"""Has Dagster forget connections, and tells whether nothing is left of them."""

AGAIN: Final = timedelta(minutes=1)
_BUSY: Final = "a sync or a run of a connection is under way"
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class ErasureReport:
    """
    How far an erasure has come. Not done: `waits_for` says what for, `next_attempt_at` until when.

    `counts`: rows by table, as there were when it began.
    """

    team_id: TeamId
    state: ErasureState
    waits_for: str | None
    next_attempt_at: datetime | None
    connections_count: int
    counts: Mapping[str, int]

    @property
    def is_done(self) -> bool:
        """Say whether nothing is left but what must be."""
        return self.state is ErasureState.DONE


def erase_team(
    context: SyncContext, team: str, *, forget: Forget, gives_up: bool = False
) -> list[ErasureReport]:
    """
    Erase a team by its name or id, or go on with it; return how far that has come.

    A team whose name is gone already is one of those that are not done: they all go on then.

    Raises:
        NotFoundError: there is no such team, and nothing to go on with.
    """
    try:
        team_id = ask_erasure(context, team)
    except NotFoundError:
        reports = continue_erasures(context, forget=forget, is_patient=False)
        if not reports:
            raise
        return reports
    return [continue_erasure(context, team_id, forget=forget, gives_up=gives_up)]


def ask_erasure(context: SyncContext, team: str) -> TeamId:
    """
    Have a team erased, by its name or id; nothing can be added to it from now on.

    Its keys open nothing any more, and nobody who comes back from a bank finds their link. May
    be asked again.

    Raises:
        NotFoundError: there is no such team.
    """
    now = context.clock()
    with context.engine.connect() as db:
        team_id, _ = load_team_by(db, team)
        counts = count_rows(db, team_id)  # it takes a while, and must hold up nobody
    with context.engine.begin() as db:
        lock_team(db, team_id)
        if insert_erasure(db, team_id, counts=counts, now=now):
            keys = delete_api_keys_of(db, team_id)
            links = abandon_links(context, db, team_id)
            note(context, db, AuditAction.ERASE_ASKED, team_id, api_keys=keys, links=links)
    return team_id


def continue_erasure(
    context: SyncContext,
    team_id: TeamId,
    *,
    forget: Forget,
    is_patient: bool = False,
    gives_up: bool = False,
) -> ErasureReport:
    """
    Go on with an erasure as far as it comes now.

    `is_patient`: what failed at a provider is only tried again when it is due. `gives_up`: a
    consent that its provider does not end now is forgotten here, and may live on there.
    """
    while True:
        with context.engine.connect() as db:
            erasure = load_newest_erasure(db, team_id)
        assert erasure is not None, "it was asked for"
        if erasure.state is ErasureState.DONE:
            return _to_report(erasure)
        if gives_up and erasure.state is ErasureState.CONSENTS:
            _give_up(context, erasure)
        waits = _take_step(context, erasure, forget, is_patient=is_patient)
        if waits is not None:
            with context.engine.begin() as db:
                set_waiting(db, erasure.id, waits_for=waits.what, next_attempt_at=waits.until)
            _log.warning("erasure of team %s waits: %s", team_id, waits.what)
            with context.engine.connect() as db:
                waiting = load_newest_erasure(db, team_id)
            assert waiting is not None, "erasures stay"
            return _to_report(waiting)


def continue_erasures(
    context: SyncContext, *, forget: Forget, is_patient: bool = True
) -> list[ErasureReport]:
    """Go on with every erasure that is due, or, impatiently, with all."""
    due_at = context.clock() if is_patient else None
    with context.engine.connect() as db:
        waiting = load_open_erasures(db, due_at=due_at)
    return [
        continue_erasure(context, one.team_id, forget=forget, is_patient=is_patient)
        for one in waiting
    ]


def load_erasure_due(context: SyncContext) -> datetime | None:
    """Load since when an erasure could go on; None when none could."""
    with context.engine.connect() as db:
        due = load_open_erasures(db, due_at=context.clock())
    return min((one.next_attempt_at or one.asked_at for one in due), default=None)


@dataclass(frozen=True)
class _Waits:
    what: str
    until: datetime


def _take_step(
    context: SyncContext, erasure: Erasure, forget: Forget, *, is_patient: bool
) -> _Waits | None:
    """Take the next step, and note that it is done; else return what it waits for."""
    waits: _Waits | None = None
    match erasure.state:
        case ErasureState.CONSENTS:
            waits = _end_and_erase(context, erasure, is_patient=is_patient)
        case ErasureState.CACHES:
            _drop_logins(context, erasure.team_id)
            if not context.cache.empty():
                waits = _Waits("the cache cannot be reached", context.clock() + AGAIN)
        case ErasureState.TRACES:
            if not forget(erasure.connection_ids):
                waits = _Waits(_BUSY, context.clock() + AGAIN)
        case ErasureState.ROWS:
            return _delete_rows(context, erasure)
        case _:
            with context.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                kept = refresh_samples(db, SCHEMA)
            if kept:
                _log.warning("old samples of %s are left: only a superuser may", ", ".join(kept))
    if waits is None:
        with context.engine.begin() as db:
            _set_done(context, db, erasure)
    return waits


def _set_done(
    context: SyncContext,
    db: sa.Connection,
    erasure: Erasure,
    after: ErasureState | None = None,
) -> None:
    order = [*ErasureState]
    follows = order[order.index(erasure.state) + 1]
    set_step(db, erasure.id, before=erasure.state, after=after or follows, now=context.clock())


def _end_and_erase(context: SyncContext, erasure: Erasure, *, is_patient: bool) -> _Waits | None:
    """End each connection at its provider and delete its rows, as `disconnect --erase` does."""
    with context.engine.begin() as db:
        found = load_connections_to_erase(db, erasure)
    now = context.clock()
    for one in found:
        is_due = one.next_attempt_at is None or one.next_attempt_at <= now
        if one.is_erased:
            continue
        if not one.is_ended or not one.is_erase_asked:
            with suppress(NotFoundError):  # somebody else went on with it, and was faster
                disconnect(context, one.id, erase=True)
        elif is_due or not is_patient:
            end_consents(context, connection_id=one.id)
    with context.engine.begin() as db:
        left = [one for one in load_connections_to_erase(db, erasure) if not one.is_erased]
    if not left:
        return None
    times = [one.next_attempt_at for one in left if one.next_attempt_at is not None]
    named = next((one.reason for one in left if one.next_attempt_at is not None), None)
    return _Waits(
        f"{len(left)} of {len(found)} connections are left; {named or _BUSY}",
        min(times, default=now + AGAIN),
    )


def _drop_logins(context: SyncContext, team_id: TeamId) -> None:
    """
    End the logins of the team's analysts.

    One that cannot be dropped, because it has something of its own elsewhere on the server, sees
    nothing any more and stays.
    """
    with context.engine.connect() as db:
        logins = list_logins_of(db, team_id)
    for login in logins:
        try:
            with context.engine.begin() as db:
                close_analyst(db, login)
                note(context, db, AuditAction.LOGIN_REMOVED, team_id)
            with context.engine.begin() as db:
                drop_login(db, login)
        except SetupError:
            _log.warning("a login of an analyst of team %s could not be dropped", team_id)


def _give_up(context: SyncContext, erasure: Erasure) -> None:
    """Try every consent once more, then forget those that are left."""
    _end_and_erase(context, erasure, is_patient=False)
    with context.engine.begin() as db:
        for one in load_connections_to_erase(db, erasure):
            if not one.is_erased and (count := give_up_consents(db, one.id, now=context.clock())):
                note(context, db, AuditAction.CONSENT_ENDED, erasure.team_id, given_up_count=count)


def _delete_rows(context: SyncContext, erasure: Erasure) -> _Waits | None:
    """
    Delete the team and all that still belongs to it, in the transaction that says so.

    The team is locked first: whoever was linking a bank for it until now either has, and their
    connection is ended like the others, or finds no team.
    """
    with context.engine.begin() as db:
        if lock_team(db, erasure.team_id):
            found = load_connections_to_erase(db, erasure)
            if any(not one.is_erased for one in found):
                _set_done(context, db, erasure, ErasureState.CONSENTS)
                return None
            delete_team(db, erasure.team_id)
            counts = {name: count for name, count in erasure.counts.items() if count}
            note(context, db, AuditAction.ERASED, erasure.team_id, **counts)
        _set_done(context, db, erasure)
    return None


def _to_report(erasure: Erasure) -> ErasureReport:
    return ErasureReport(
        team_id=erasure.team_id,
        state=erasure.state,
        waits_for=erasure.waits_for,
        next_attempt_at=erasure.next_attempt_at,
        connections_count=len(erasure.connection_ids),
        counts=erasure.counts,
    )
