"""Which rows a session sees: one team's for the gateway, all for whoever syncs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import TeamId
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.policies import EVERYTHING, OWN_TEAM
from bank_pipeline.storage.roles import READER, load_missing_roles

_MAY_NARROW: Final = "may_read_as_one_team"


@dataclass(frozen=True)
class Sight:
    """
    What our login may see of the tables.

    `is_whole`: every row. `is_narrowed`: it may read as one team alone, as the gateway does.
    `analysts_with_more`: analysts' logins that may take another role of ours, and which.
    """

    login: str
    is_whole: bool
    is_narrowed: bool
    missing_roles: frozenset[str]
    analysts_with_more: tuple[tuple[str, str], ...]


@contextmanager
def seen_by_team(engine: sa.Engine, team_id: TeamId) -> Iterator[sa.Connection]:
    """
    Read as one team: for the transaction, the database itself shows no row of another.

    Role and team end with the transaction, so a pooled session carries neither on. Where our
    login may not become `bank_reader`, this reads as before, and `doctor` says so.
    """
    with engine.connect() as db:
        if _may_narrow(db):
            db.execute(_NARROW, {"team_id": team_id})
        yield db


def load_sight(engine: sa.Engine) -> Sight:
    """Look what our login may see."""
    with engine.connect() as db:
        login, is_whole = db.execute(_WHOLE).one()
        return Sight(
            login=str(login),
            is_whole=is_whole,
            is_narrowed=_may_narrow(db),
            missing_roles=load_missing_roles(db),
            analysts_with_more=tuple((row.login, row.others) for row in db.execute(_WITH_MORE)),
        )


def check_sight(engine: sa.Engine) -> None:
    """
    Make sure that our login sees every row: else there would seem to be nothing to sync.

    Raises:
        SetupError: it does not.
    """
    with engine.connect() as db:
        login, is_whole = db.execute(_WHOLE).one()
    if not is_whole:
        raise SetupError(
            f"The database's user {login} does not see every row, so it cannot sync: as the "
            f"tables' owner, `GRANT bank_writer TO \"{login}\"`; and it must be no analyst's login"
        )


def _may_narrow(db: sa.Connection) -> bool:
    """Ask once per session of the pool."""
    if _MAY_NARROW not in db.info:
        db.info[_MAY_NARROW] = bool(db.scalar(_MAY))
    return bool(db.info[_MAY_NARROW])


_NARROW: Final = sa.text(
    f"SELECT set_config('bank.team_id', :team_id, true), set_config('role', '{READER}', true)"
)
_MAY: Final = sa.text(
    f"""
    SELECT pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int >= 160000
                                   THEN 'SET' ELSE 'MEMBER' END)
       AND has_schema_privilege(r.oid, 'bank', 'USAGE')
       AND EXISTS (SELECT FROM pg_policies p WHERE p.schemaname = 'bank'
                   AND p.tablename = 'transactions' AND p.policyname = '{OWN_TEAM}')
    FROM pg_roles r WHERE r.rolname = '{READER}'
    """  # noqa: S608 - our own names, here and below
)
_WHOLE: Final = sa.text(
    f"""
    SELECT session_user::text, CASE
        WHEN NOT row_security_active('bank.transactions') THEN true
        WHEN EXISTS (SELECT FROM pg_policies p CROSS JOIN unnest(p.roles) AS given (role)
                     WHERE p.schemaname = 'bank' AND p.tablename = 'transactions'
                       AND p.policyname = '{EVERYTHING}' AND pg_has_role(given.role, 'USAGE'))
        THEN bank.analyst_team() IS NULL
        ELSE false END
    """  # noqa: S608
)
_WITH_MORE: Final = sa.text(
    """
    SELECT a.login, string_agg(r.rolname, ', ' ORDER BY r.rolname) AS others
    FROM bank.analysts a JOIN pg_roles l ON l.rolname = a.login
    JOIN pg_roles r ON r.rolname IN ('bank_owner', 'bank_writer', 'bank_reader')
                   AND pg_has_role(l.oid, r.oid, 'MEMBER')
    GROUP BY a.login ORDER BY a.login
    """
)
