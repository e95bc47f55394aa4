"""
Consents: from the link a customer is sent to, to a session that ends.

What Enable Banking calls a session is one consent; it cannot be extended.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from bank_pipeline.sandbox.enable_banking.errors import api_error
from bank_pipeline.sandbox.enable_banking.ids import derive_uid
from bank_pipeline.sandbox.enable_banking.profiles import Aspsp


class SessionStatus(StrEnum):
    """Where a consent stands."""

    PENDING_AUTHORIZATION = "PENDING_AUTHORIZATION"
    RETURNED_FROM_BANK = "RETURNED_FROM_BANK"
    AUTHORIZED = "AUTHORIZED"
    INVALID = "INVALID"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    CLOSED = "CLOSED"


_DEAD: Final = {
    SessionStatus.EXPIRED: "EXPIRED_SESSION",
    SessionStatus.REVOKED: "REVOKED_SESSION",
    SessionStatus.CLOSED: "CLOSED_SESSION",
}


@dataclass(frozen=True)
class Grant:
    """One account in a session. `uid` is None where the bank blocks it: listed, not readable."""

    uid: str | None
    world_account_id: str


@dataclass
class Session:
    """
    One consent.

    `status` is what was decided; `status_at` knows about time, too. `ended_at` is when it was
    revoked, closed or otherwise ended by somebody.
    """

    authorization_id: str
    session_id: str
    application_id: str
    aspsp: Aspsp
    state: str
    redirect_url: str
    access: Mapping[str, Any]
    valid_until: datetime
    psu_type: str
    psu_id_hash: str
    created_at: datetime
    status: SessionStatus = SessionStatus.PENDING_AUTHORIZATION
    code: str | None = None
    code_at: datetime | None = None
    login_id: str = ""
    chosen: Sequence[str] | None = None
    authorized_at: datetime | None = None
    ended_at: datetime | None = None
    grants: list[Grant] = field(default_factory=list)
    listings: dict[str, int] = field(default_factory=dict)  # calls by account, for restless banks

    def status_at(self, now: datetime) -> SessionStatus:
        """Return how the session stands at a moment."""
        if self.status is SessionStatus.AUTHORIZED and now > self.valid_until:
            return SessionStatus.EXPIRED
        return self.status

    def sees_until(self, now: datetime) -> datetime:
        """Return the last moment that could be read, at most `now`."""
        ends = [self.valid_until, *([self.ended_at] if self.ended_at else [])]
        return min(now, *ends)

    def check_readable(self, now: datetime) -> None:
        """Pass a session whose data can be read; anything else is its error."""
        status = self.status_at(now)
        if status in _DEAD:
            raise api_error(_DEAD[status])
        if status is not SessionStatus.AUTHORIZED:
            raise api_error("WRONG_SESSION_STATUS", detail=f"Session status is {status.value}")

    def end(self, status: SessionStatus, now: datetime) -> None:
        """Let the consent end, or bring an authorised one back."""
        is_alive = status is SessionStatus.AUTHORIZED
        self.status = status
        self.ended_at = None if is_alive else self.ended_at or now

    def grant(self, world_account_ids: Sequence[str], *, last_without_uid: bool) -> None:
        """Give the session its accounts, each under a new uid."""
        ids = [derive_uid(self.session_id, one) for one in world_account_ids]
        uids: list[str | None] = [*ids]
        if last_without_uid and uids:
            uids[-1] = None
        self.grants = [Grant(uid, one) for uid, one in zip(uids, world_account_ids, strict=True)]


class SessionBook:
    """All consents, findable by whatever a caller may know of them."""

    def __init__(self) -> None:
        self._sessions: list[Session] = []
        self._by_uid: dict[str, tuple[Session, Grant]] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions)

    def add(self, session: Session) -> None:
        """Keep a new consent."""
        self._sessions.append(session)

    def index(self, session: Session) -> None:
        """Make the session's accounts findable."""
        for grant in session.grants:
            if grant.uid is not None:
                self._by_uid[grant.uid] = (session, grant)

    def authorization(self, authorization_id: str) -> Session | None:
        """Return the consent that a link leads to."""
        found = (one for one in self._sessions if one.authorization_id == authorization_id)
        return next(found, None)

    def by_code(self, application_id: str, code: str) -> Session:
        """Return the consent of a code. Unknown, or another's: an error."""
        for one in self._sessions:
            if one.code == code and one.application_id == application_id:
                return one
        raise api_error("WRONG_AUTHORIZATION_CODE")

    def session(self, application_id: str, session_id: str) -> Session:
        """Return an application's session; one that was never authorised is not known yet."""
        for one in self._sessions:
            if one.session_id == session_id and one.application_id == application_id:
                return one
        raise api_error("SESSION_DOES_NOT_EXIST")

    def find(self, session_id: str) -> Session:
        """Return any session, for the switches. Unknown: KeyError."""
        for one in self._sessions:
            if one.session_id == session_id:
                return one
        raise KeyError(session_id)

    def account(self, application_id: str, uid: str) -> tuple[Session, Grant]:
        """Return an account and its session. Unknown, or another application's: an error."""
        found = self._by_uid.get(uid)
        if found is None or found[0].application_id != application_id:
            raise api_error("ACCOUNT_DOES_NOT_EXIST")
        return found
