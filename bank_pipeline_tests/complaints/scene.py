"""A customer of one bank, linked and synced: what the complaints are played on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind, Entry
from bank_pipeline.sandbox.scripts import EntryDetails
from bank_pipeline.sandbox.world import World
from bank_pipeline.sync.link import accept_return, start_link
from bank_pipeline.sync.linked import LinkState
from bank_pipeline.sync.reports import SyncReason, SyncReport
from bank_pipeline_tests.providers.contract.stage import READY, Row, Stage

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
CHECKING: Final = AccountKind.CHECKING
BOTH: Final = (CHECKING, AccountKind.SAVINGS)


@dataclass(frozen=True)
class Odd:
    """A bank with habits of its own, as its provider names it; `bank_id` is the world's."""

    provider: str
    institution: str
    bank_id: str

    def __str__(self) -> str:
        return self.institution


NAMELESS: Final = (
    Odd("gocardless", "LABORALKUTXA_CLPEES2M", "fr-soleil"),
    Odd("enable_banking", "DE:Namenlose Bank", "de-mueritz"),
)


@dataclass
class Scene:
    """The stage of one provider, with one login and one connection as the usual subject."""

    stage: Stage
    login: str = ""
    connection: ConnectionId = field(default_factory=lambda: ConnectionId(""))

    @property
    def world(self) -> World:
        """The banks."""
        return self.stage.world

    def customer(self, bank_id: str | None = None) -> "Scene":
        """Bring a customer, of the provider's usual bank unless one is named."""
        self.login = self.world.add_login(bank_id or self.stage.case.bank_id).id
        return self

    def account(self, kind: AccountKind = CHECKING) -> str:
        """Return the world's id of the customer's account of a kind."""
        return self.stage.account(self.login, kind)

    def today(self) -> date:
        """Return the date at the customer's bank."""
        return self.world.today(self.world.login_accounts(self.login)[0].id)

    def buy(
        self,
        amount: str = "-4.50",
        text: str = "Blue Cup",
        kind: AccountKind = CHECKING,
        *,
        days_ago: int = 0,
        **details: Any,
    ) -> Entry:
        """Book an entry, today unless said otherwise."""
        day = self.today() - days_ago * DAY
        said = {"booking_date": day, "value_date": day, "transaction_date": day}
        return self.world.add_booked(
            self.account(kind), Decimal(amount), **_words(text), **{**said, **details}
        )

    def hold(self, amount: str = "-4.50", text: str = "Blue Cup", **details: Any) -> Entry:
        """Show a pending entry."""
        return self.world.add_pending(self.account(), Decimal(amount), **_words(text), **details)

    def link(self, *kinds: AccountKind, institution: str | None = None) -> "Scene":
        """Link the customer's accounts of these kinds, else the current ones; nothing is read."""
        shared = kinds or (CHECKING,)
        if institution is None:
            self.connection = self.stage.link(self.login, *shared)
            return self
        [self.connection] = self.consent(institution, *shared).connection_ids
        self.stage.sandbox.advance(READY)
        return self

    def consent(
        self, institution: str, *kinds: AccountKind, renews: ConnectionId | None = None
    ) -> LinkState:
        """Agree at a bank to share the accounts of these kinds, else all."""
        started = start_link(
            self.stage.context,
            self.stage.case.provider,
            team_name="home",
            institution=institution,
            renews=renews,
        )
        accounts = self.world.login_accounts(self.login)
        chosen = [one.id for one in accounts if not kinds or one.kind in kinds]
        returned = self.stage.agree(started.url, self.login, chosen)
        return accept_return(self.stage.context, self.stage.case.provider, returned)

    def sync(self, reason: SyncReason = SyncReason.MANUAL) -> SyncReport:
        """Bring the connection up to date."""
        return self.stage.sync(self.connection, reason)

    def next_day(self, days: int = 1) -> SyncReport:
        """Let days pass, then sync as the schedule does."""
        self.stage.pass_time(days * DAY)
        return self.sync(SyncReason.SCHEDULE)

    def fail(self, kind: FaultKind | str, operation: str | None = None, **named: Any) -> None:
        """Let calls fail, those that read transactions unless others are named."""
        self.stage.fail(operation or self.stage.case.transactions, kind, **named)

    def held(self) -> Connection:
        """Return what is stored of the connection."""
        return self.stage.connection(self.connection)

    def rows(self, **wanted: Any) -> list[Row]:
        """Return the rows that count, those whose fields are these."""
        return self.stage.live(**wanted)

    def ids(self) -> set[str]:
        """Return our ids of the rows that count."""
        return {row.id for row in self.rows()}

    def ask(self, sql: str, **bound: Any) -> Sequence[Any]:
        """Ask the database."""
        return self.stage.query(sql, **bound)

    def value(self, sql: str, **bound: Any) -> Any:
        """Ask the database for one value."""
        [[found]] = self.ask(sql, **bound)
        return found

    def annotate(self, row: Row, note: str, *, is_hidden: bool = False) -> None:
        """Say something of a row, as a person does."""
        with self.stage.context.engine.begin() as db:
            db.exec_driver_sql(
                "INSERT INTO bank.transaction_annotations "
                "(transaction_id, team_id, note, is_hidden, updated_at) "
                "SELECT id, team_id, %s, %s, now() FROM bank.transactions WHERE id = %s",
                (note, is_hidden, row.id),
            )

    def differences(self) -> list[str]:
        """Return everything in which our tables differ from the bank, to the row and the cent."""
        return self.stage.differences(self.connection)

    def another(self) -> "Scene":
        """Return a scene for another customer at the same provider."""
        return replace(self, login="", connection=ConnectionId(""))


def _words(text: str) -> EntryDetails:
    return {"description": text, "original_description": text.upper()}


def late_by(scene: Scene, days: int) -> None:
    """Play a bank that shows a row, and counts it, so many days after its date."""
    scene.buy("-60.00", "Rent")
    scene.link().sync()
    scene.next_day(days + 15)
    scene.next_day()
    scene.buy("-7.00", "Booked in silence", days_ago=days)
