"""
Tells by webhook what became of enrollments and their rows.

Nothing tells of rows that went away, of new accounts or of repairs, nor of what was there when
an enrollment began. While it is disconnected nothing is sent.
Source: https://teller.io/docs/api/webhooks
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bank_pipeline.sandbox.delivery import Outbox
from bank_pipeline.sandbox.teller.enrollments import Enrollment, EnrollmentBook, Grant
from bank_pipeline.sandbox.teller.errors import TellerError
from bank_pipeline.sandbox.teller.ids import Mint
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.teller.transactions import Ledger
from bank_pipeline.sandbox.wire import dumps, moment_text
from bank_pipeline.sandbox.world import World

_ROWS_MAX: Final = 100  # in one webhook


class Announcer:
    """Watch the enrollments and say what changed. Callers hold the simulator's lock."""

    def __init__(
        self,
        world: World,
        options: TellerOptions,
        book: EnrollmentBook,
        mint: Mint,
        outbox: Outbox,
    ) -> None:
        self.url = options.webhook_url
        self._world = world
        self._options = options
        self._book = book
        self._mint = mint
        self._outbox = outbox

    def aim(self, url: str | None, now: datetime) -> None:
        """Send to `url` from now on what happens from now on; None sends nothing."""
        self.url = url
        for enrollment in self._book:
            self.begin(enrollment, now)

    def begin(self, enrollment: Enrollment, now: datetime) -> None:
        """Take what an enrollment shows by now as known."""
        for grant in self._book.grants(enrollment, now):
            if self.url is not None:
                _remember(grant, Ledger(self._world, self._options, grant, now), now)

    def look(self, now: datetime) -> None:
        """Announce the rows that appeared, changed or got their category."""
        if self.url is None:
            return
        for enrollment in self._book:
            if enrollment.removed_at is None and enrollment.error is None:
                self._look_at(enrollment, now)

    def send(self, kind: str, payload: Mapping[str, Any], now: datetime) -> bool:
        """Send a webhook; say whether there is an address for it."""
        if self.url is None:
            return False
        body = {
            "id": self._mint.new("wh"),
            "payload": payload,
            "timestamp": moment_text(now.replace(microsecond=0)),
            "type": kind,
        }
        subject = payload.get("enrollment_id")
        self._outbox.post(self.url, code=kind, item_id=subject, body=dumps(body))
        return True

    def tell_disconnected(self, enrollment: Enrollment, error: TellerError, now: datetime) -> None:
        """Say that an enrollment needs its owner."""
        payload = {
            "enrollment_id": enrollment.enrollment_id,
            "reason": error.code.removeprefix("enrollment."),
        }
        self.send("enrollment.disconnected", payload, now)

    def tell_verified(self, enrollment: Enrollment, grant: Grant, now: datetime) -> None:
        """Say how the verification of an account's number ended."""
        payload = {
            "enrollment_id": enrollment.enrollment_id,
            "account_id": grant.account_id,
            "status": grant.verification,
        }
        self.send("account.number_verification.processed", payload, now)

    def _look_at(self, enrollment: Enrollment, now: datetime) -> None:
        rows: list[dict[str, Any]] = []
        for grant in self._book.grants(enrollment, now):
            if grant.revoked_at is None and self._book.account(grant).closed_at is None:
                rows += self._news(grant, now)
        for start in range(0, len(rows), _ROWS_MAX):
            payload = {
                "enrollment_id": enrollment.enrollment_id,
                "transactions": rows[start : start + _ROWS_MAX],
            }
            self.send("transactions.processed", payload, now)

    def _news(self, grant: Grant, now: datetime) -> Sequence[dict[str, Any]]:
        known, since = grant.told, grant.told_until
        is_due = grant.due_at is not None and grant.due_at <= now
        events = self._world.events(grant.world_account_id, until=now, after_sequence=known)
        if not events and not is_due:
            return ()
        ledger = Ledger(self._world, self._options, grant, now)
        _remember(grant, ledger, now)
        return ledger.to_json(
            row for row in ledger.rows() if row.sequence > known or since < row.enriched_at <= now
        )


def _remember(grant: Grant, ledger: Ledger, now: datetime) -> None:
    grant.told, grant.told_until = ledger.head, now
    coming = (row.enriched_at for row in ledger.rows() if row.enriched_at > now)
    grant.due_at = min(coming, default=None)
