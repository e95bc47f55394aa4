"""Looks at one year as it goes: remembers what the banks showed, and asks the checkers."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection, ConnectionStatus, HistoryStage, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import RATE_SPREAD, RETRY_WAITS, WAIT_MAX
from bank_pipeline.sandbox.chance import dice
from bank_pipeline.simulation import banks
from bank_pipeline.simulation.comparing import Comparison, compare
from bank_pipeline.simulation.evidence import (
    HeldAccount,
    SetAside,
    load_applied,
    load_held,
    load_names,
    load_repeated_balances,
    load_set_aside,
    load_shown,
    load_taken_back,
)
from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.limits import LimitChecker
from bank_pipeline.simulation.matching import Pair, ShownRow
from bank_pipeline.simulation.members import Member
from bank_pipeline.sync.reports import SyncReport

if TYPE_CHECKING:
    from bank_pipeline.simulation.troubles import Troubles

SILENT_AFTER: Final = timedelta(days=3)
"""Without a success for so long, a connection has to say why and what comes next."""

LONGEST_WAIT: Final = max(*RETRY_WAITS, WAIT_MAX) + RATE_SPREAD
"""No next try is planned further ahead."""

_ARCHIVED_FOR: Final = timedelta(days=20)  # longer is not promised of one that kept coming
_NOTES_PER_LOOK: Final = 3
_WINDOWED: Final = frozenset({Provider.GOCARDLESS, Provider.TELLER, Provider.ENABLE_BANKING})


class Watcher:
    """Compare connections right after a sync of theirs, when tables and bank must agree."""

    def __init__(self, place: Installation, findings: Findings) -> None:
        self._place = place
        self.findings = findings
        self.limits = LimitChecker(place, findings)
        self._wanted: set[int] = set()  # members by the customer's number
        self._is_last = False
        self._verified: set[ConnectionId] = set()
        self._remembered: dict[ConnectionId, str] = {}  # the last id that was looked up there
        self._world_accounts: dict[ConnectionId, dict[str, str]] = defaultdict(dict)
        self._names: dict[ConnectionId, dict[str, dict[str, str]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._older: dict[ConnectionId, dict[str, dict[str, ShownRow]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._seen: dict[tuple[ConnectionId, str], Pair] = {}  # by entry, as of the last look
        self._notes: dict[str, Pair] = {}  # by our row's id, as it was when the note was put
        self._begins: dict[tuple[ConnectionId, str], date] = {}  # the first day ever seen covered

    def ask_for_look(self, members: list[Member], *, is_last: bool = False) -> None:
        """Look at each member after their next sync; the last look compares everything."""
        self._is_last = is_last
        self._wanted = {one.customer.number for one in members if one.is_here}

    def after_sync(self, member: Member, report: SyncReport) -> None:
        """Look at a member whose sync just ended well, if it is their turn."""
        if member.connection_id is None:
            return
        is_renewed = self.keep_up(member)
        if member.customer.number not in self._wanted or report.stage is not HistoryStage.COMPLETE:
            return
        if is_renewed:
            return  # a moment ago: there is a better moment
        self._wanted.discard(member.customer.number)
        self.look_at(member, is_last=self._is_last)

    def look_at(self, member: Member, *, is_last: bool) -> None:
        """Hold a connection that was just synced against its bank; the last look compares all."""
        assert member.connection_id is not None, "looked at are those who linked"
        self.remember(member)
        with self._place.context.engine.connect() as db:
            held = load_held(db, member.connection_id)
            set_aside = load_set_aside(db, member.connection_id)
        comparison = self._comparison(member, member.connection_id, held, set_aside)
        self._check_stability(member.connection_id, comparison)
        if is_last:
            self._verified.add(member.connection_id)
            compare(comparison, self.findings)
            self._check_coverage(member, member.connection_id, comparison)
            self._check_notes(member.connection_id, comparison)
        else:
            self._annotate(member.connection_id, comparison)
            self._note_coverage(member.connection_id, comparison)

    def keep_up(self, member: Member) -> bool:
        """
        Learn under which id the provider serves a connection; return whether that is new.

        A renewed consent comes into use with a later sync, and the old one's word ends with it.
        """
        assert member.connection_id is not None
        is_new = member.note_external_id(self._place)
        if self._remembered.get(member.connection_id) != member.external_ids[-1]:
            self.remember(member)
        return is_new

    def remember(self, member: Member) -> None:
        """Write down what the provider shows of a connection now, and under which ids."""
        connection_id = member.connection_id
        assert connection_id is not None
        member.note_external_id(self._place)
        external_id = member.external_ids[-1]
        self._remembered[connection_id] = external_id
        names = load_names(self._place, member.provider, external_id)
        for account, (world_account, entries) in names.items():
            self._world_accounts[connection_id][account] = world_account
            self._names[connection_id][world_account] |= entries
        shown = load_shown(self._place, member.provider, external_id)
        for world_account, one in shown.items():
            known = self._older[connection_id][world_account]
            begins = one.first_day or date.min
            kept = {entry: row for entry, row in known.items() if row.day < begins}
            self._older[connection_id][world_account] = {**kept, **one.rows}

    def check_states(self, members: list[Member]) -> None:
        """Check that no connection is silent: those that stopped say why and what comes next."""
        self.limits.drain()
        now = self._place.context.clock()
        for member in members:
            if member.connection_id is None:
                continue
            if member.is_here:
                self.keep_up(member)
            connection = member.connection(self._place)
            self.findings.look(Checker.SILENT_STOP)
            words = self._silence(member, connection)
            if words is not None:
                where = f"{member.provider} {connection.id} at {now:%Y-%m-%d}"
                self.findings.add(Checker.SILENT_STOP, where, words)

    def conclude(self, members: list[Member], troubles: "Troubles", *, kills: int) -> None:
        """Make the checks that end a year; only as many runs may be killed as there were kills."""
        self.check_states(members)
        self.limits.conclude(troubles)
        with self._place.context.engine.connect() as db:
            self.findings.look(Checker.OPEN_SYNC_RUN, db.scalar(_RUNS) or 0)
            for run in db.execute(_OPEN_RUNS):
                words = f"{run.reason} of {run.started_at:%Y-%m-%d %H:%M}"
                self.findings.add(Checker.OPEN_SYNC_RUN, str(run.connection_id), words)
            for account_id in load_repeated_balances(db):
                words = "one was written again although the bank had told no other"
                self.findings.add(Checker.WRONG_BALANCE, f"account {account_id}", words)
            since = self._place.context.clock() - _ARCHIVED_FOR
            applied = load_applied(db, since=since)
            for run_id, operation, is_archived in applied:
                self.findings.look(Checker.NOT_ARCHIVED)
                if not is_archived:
                    self.findings.add(Checker.NOT_ARCHIVED, f"sync run {run_id}", operation)
            killed = db.scalar(_KILLED_RUNS) or 0
            if killed > kills:
                words = f"{killed} look killed, of which {kills} were"
                self.findings.add(Checker.OPEN_SYNC_RUN, "sync runs", words)
        for member in members:
            if not member.has_left:
                self._check_verified(member)

    def _check_verified(self, member: Member) -> None:
        """Check that a customer was looked at in the end: who cannot link again is lost, too."""
        self.findings.look(Checker.UNVERIFIED)
        where = f"{member.provider} {member.customer.institution}"
        if member.connection_id is None:
            words = f"no connection, after {len(member.earlier)} that are gone for good"
            self.findings.add(Checker.UNVERIFIED, where, words)
        elif member.connection_id not in self._verified:
            connection = member.connection(self._place)
            words = (
                f"{connection.status} ({connection.status_reason}), last success "
                f"{connection.last_success_at}, next {connection.next_attempt_at}"
            )
            self.findings.add(Checker.UNVERIFIED, f"{where} {connection.id}", words)

    def _silence(self, member: Member, connection: Connection) -> str | None:
        """Return what a connection fails to say; None when it is well, or explains itself."""
        now = self._place.context.clock()
        if connection.status is ConnectionStatus.DISCONNECTED:
            return None if member.has_left else "disconnected, and nobody asked for it"
        if not connection.status.is_syncable:
            if connection.status_reason is None:
                return f"{connection.status} without a reason"
            is_broken = banks.is_broken(self._place, member.provider, member.external_ids[-1])
            is_lasting = now - connection.status_since > SILENT_AFTER
            return (
                None
                if is_broken or not is_lasting
                else (
                    f"{connection.status} ({connection.status_reason}) since "
                    f"{connection.status_since:%Y-%m-%d}, but the bank serves it"
                )
            )
        return self._made_up_success(connection) or _untold_failure(connection, now=now)

    def _made_up_success(self, connection: Connection) -> str | None:
        """Return a success that no sync run tells of: it would hide all failures since."""
        last = connection.last_success_at
        if last is None:
            return None
        with self._place.context.engine.connect() as db:
            run = {"connection_id": connection.id, "at": last}
            if db.scalar(_ENDED_WELL, run):
                return None
        return f"a success at {last:%Y-%m-%d %H:%M}, when no sync ended well"

    def _comparison(
        self,
        member: Member,
        connection_id: ConnectionId,
        held: list[HeldAccount],
        set_aside: list[SetAside],
    ) -> Comparison:
        name = member.customer.institution or member.customer.bank_id
        return Comparison(
            where=f"{member.provider} {name}",
            provider=member.provider,
            shown=load_shown(self._place, member.provider, member.external_ids[-1]),
            held=held,
            world_accounts=self._world_accounts[connection_id],
            names=self._names[connection_id],
            older=self._older[connection_id],
            set_aside=set_aside,
            is_windowed=member.provider in _WINDOWED,
            paired={
                entry_id
                for (looked_at, entry_id), pair in self._seen.items()
                if looked_at == connection_id and not pair.held.is_pending
            }
            - load_taken_back(self._place, self._names[connection_id]),
        )

    def _check_stability(self, connection_id: ConnectionId, comparison: Comparison) -> None:
        provider = comparison.provider
        for name in comparison.shown:
            for pair in comparison.matching(name).pairs:
                if not pair.is_sure:
                    continue
                self.findings.look(Checker.UNSTABLE_ID)
                key = (connection_id, pair.shown.entry_id)
                before = self._seen.get(key)
                self._seen[key] = pair
                if before is None or before.held.id == pair.held.id:
                    continue
                if self.is_recognisable(before, pair, provider):
                    words = (
                        f"entry {pair.shown.entry_id} was row {before.held.id}, is {pair.held.id}"
                    )
                    self.findings.add(Checker.UNSTABLE_ID, comparison.where, words)

    def is_recognisable(self, before: Pair, now: Pair, provider: Provider) -> bool:
        """
        Say whether anybody could know that it is the same entry.

        By its name it always is, by equal content too, and a pending one that was booked by the
        provider's link, unless a new consent named all anew before it was told. Where names change
        together with amount or text, nobody can know.
        """
        names = before.shown.external_id, now.shown.external_id
        if (None not in names and names[0] == names[1]) or (
            _content(before.shown) == _content(now.shown)
        ):
            return True
        is_booked_now = before.shown.is_pending and not now.shown.is_pending
        is_told = provider is Provider.PLAID and before.held.account == now.held.account
        return is_told and is_booked_now and self._place.world.entry(now.shown.entry_id).linked

    def _annotate(self, connection_id: ConnectionId, comparison: Comparison) -> None:
        """Put notes on a few rows, as people do, to find them on the same entries at the end."""
        pairs = [
            pair
            for name in sorted(comparison.shown)
            for pair in comparison.matching(name).pairs
            if pair.is_sure and pair.held.id not in self._notes
        ]
        rolled = dice("notes", connection_id, len(self._notes))
        chosen = rolled.sample(pairs, min(_NOTES_PER_LOOK, len(pairs)))
        if not chosen:
            return
        now = self._place.context.clock()
        with self._place.context.engine.begin() as db:
            for pair in chosen:
                self._notes[pair.held.id] = pair
                note = {"id": pair.held.id, "note": pair.shown.entry_id, "now": now}
                db.execute(_NOTE, note)

    def _check_notes(self, connection_id: ConnectionId, comparison: Comparison) -> None:
        provider = comparison.provider
        with self._place.context.engine.connect() as db:
            notes = {
                row.id: row.note for row in db.execute(_NOTES, {"connection_id": connection_id})
            }
        for name in comparison.shown:
            matching = comparison.matching(name)
            row_of_entry = {pair.shown.entry_id: pair for pair in matching.pairs if pair.is_sure}
            for row_id, noted in self._notes.items():
                entry_id = noted.shown.entry_id
                pair = row_of_entry.get(entry_id)
                if pair is None or not self.is_recognisable(noted, pair, provider):
                    continue  # it is no longer shown, or cannot be told from others
                self.findings.look(Checker.LOST_ANNOTATION)
                if pair.held.id != row_id or notes.get(row_id) != entry_id:
                    words = f"the note on row {row_id} is about {entry_id}, row {pair.held.id}"
                    self.findings.add(Checker.LOST_ANNOTATION, comparison.where, words)

    def _note_coverage(self, connection_id: ConnectionId, comparison: Comparison) -> None:
        """Write down where coverage begins: history that is lost takes its coverage along."""
        for name, held in comparison.by_world_account().items():
            begins = [first for account in held for first, _ in account.covered]
            if begins:
                key = connection_id, name
                self._begins[key] = min([*begins, self._begins.get(key, date.max)])

    def _check_coverage(
        self, member: Member, connection_id: ConnectionId, comparison: Comparison
    ) -> None:
        """
        Check that a window's coverage tells of all days since the link, or shows the gap.

        It never begins later than the link, or than the first row of an account that was opened
        after it, nor than an earlier look saw it begin.
        """
        if not comparison.is_windowed or member.linked_at is None:
            return
        today = self._place.context.clock().date()
        for name, held in comparison.by_world_account().items():
            shown = comparison.shown.get(name)
            if shown is None or not shown.is_listed or not shown.rows:
                continue
            self.findings.look(Checker.HIDDEN_GAP)
            self.findings.look(Checker.GAP_LEFT)
            covered = [one for account in held for one in account.covered]
            where = f"{comparison.where} {shown.name} ({name})"
            newest = max((last for _, last in covered), default=None)
            if newest is None or newest < today - timedelta(days=1):
                words = f"covered until {newest}, although a sync ended well on {today}"
                self.findings.add(Checker.HIDDEN_GAP, where, words)
            oldest = min((first for first, _ in covered), default=None)
            begun = max(member.linked_at.date(), min(row.day for row in shown.rows.values()))
            seen = self._begins.get((connection_id, name), begun)
            if oldest is not None and oldest > min(seen, begun):
                words = f"covered from {oldest}, begun on {begun}, once covered from {seen}"
                self.findings.add(Checker.HIDDEN_GAP, where, words)
            if len(covered) > len(held):
                told = ", ".join(f"{first} to {last}" for first, last in covered)
                self.findings.add(Checker.GAP_LEFT, where, f"covered: {told}")


def _untold_failure(connection: Connection, *, now: datetime) -> str | None:
    """Return what is not said of days without a success; None when there are none, or it is."""
    last = connection.last_success_at or connection.created_at
    if now - last <= SILENT_AFTER:
        return None
    words = f"no success since {last:%Y-%m-%d}, and "
    if connection.status_reason is None and connection.error_retries == 0:
        return f"{words}no word of why"
    due = connection.next_attempt_at
    if due is None or due - now > LONGEST_WAIT:
        return f"{words}the next try is at {due}"
    return None


def _content(row: ShownRow) -> tuple[object, ...]:
    return row.amount, row.description, row.day


_RUNS: Final = sa.text("SELECT count(*) FROM bank.sync_runs")
_OPEN_RUNS: Final = sa.text(
    "SELECT connection_id, reason, started_at FROM bank.sync_runs "
    "WHERE ended_at IS NULL OR outcome IS NULL"
)
_ENDED_WELL: Final = sa.text(
    "SELECT true FROM bank.sync_runs WHERE connection_id = :connection_id AND ended_at = :at "
    "AND outcome IN ('synced', 'awaiting_initial')"
)
_KILLED_RUNS: Final = sa.text("SELECT count(*) FROM bank.sync_runs WHERE outcome = 'killed'")
_NOTE: Final = sa.text(
    "INSERT INTO bank.transaction_annotations (transaction_id, team_id, note, updated_at) "
    "SELECT id, team_id, :note, :now FROM bank.transactions WHERE id = :id ON CONFLICT DO NOTHING"
)
_NOTES: Final = sa.text(
    "SELECT t.transaction_id::text AS id, t.note FROM analytics.transactions t "
    "WHERE t.connection_id = :connection_id AND t.note IS NOT NULL"
)
