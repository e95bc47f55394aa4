"""The simulated Plaid as a whole: its state, one lock around it, and what a call is."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.delivery import Outbox
from bank_pipeline.sandbox.faults import Fault, FaultPlan
from bank_pipeline.sandbox.ledger import Bank
from bank_pipeline.sandbox.plaid.announcer import Announcer
from bank_pipeline.sandbox.plaid.errors import plaid_error
from bank_pipeline.sandbox.plaid.ids import Mint
from bank_pipeline.sandbox.plaid.items import Item, ItemBook
from bank_pipeline.sandbox.plaid.limits import RateWindows
from bank_pipeline.sandbox.plaid.link_sessions import LinkBook
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.plaid.shapes import Shape
from bank_pipeline.sandbox.plaid.signing import KeyRing
from bank_pipeline.sandbox.world import World

_PLAIN_INSTITUTIONS: Final = 109_508  # First Platypus Bank and its neighbours
_OAUTH_INSTITUTIONS: Final = 127_287  # Platypus OAuth Bank and its neighbours
FLUSH_S: Final = 30.0


class Plaid:
    """
    Everything one simulated Plaid knows.

    `lock` guards all of it but the outbox, which has its own: no webhook is sent under the
    lock, so a receiver may call back at once.
    """

    def __init__(
        self,
        world: World,
        clock: VirtualClock,
        *,
        faults: FaultPlan,
        options: PlaidOptions,
        seed: int = 0,
    ) -> None:
        self.world = world
        self.clock = clock
        self.faults = faults
        self.options = options
        self.lock = threading.RLock()
        self.mint = Mint(seed)
        self.institutions: Mapping[str, Bank] = _name_institutions(world)
        self.items = ItemBook(world, self.mint, options)
        self.links = LinkBook()
        self.limits = RateWindows(options.limit_scale)
        self.keys = KeyRing(self.mint.uuid(), clock.now())
        self.calls: Counter[tuple[str, str]] = Counter()
        self.released = threading.Event()  # ends calls that a fault lets hang
        self.webhooks = Outbox(
            clock,
            sign=self.keys.sign,
            look=self.look,
            timeout_s=options.webhook_timeout_s,
            breaker_least=options.webhook_breaker_least,
            tick_s=options.tick_s,
        )
        americans = {one for one, bank in self.institutions.items() if bank.country in ("US", "CA")}
        self.announcer = Announcer(self.items, self.webhooks, options, frozenset(americans))
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Follow the clock and begin to send webhooks."""
        self._unsubscribe = self.clock.on_advance(lambda _: self._on_advance())
        self.webhooks.start()

    def stop(self) -> None:
        """End what `start` began and let go of hanging calls."""
        self.released.set()
        if self._unsubscribe is not None:
            self._unsubscribe()
        self.webhooks.stop()

    def look(self) -> None:
        """See what the world brought, and announce it."""
        with self.lock:
            self.announcer.look(self.clock.now())

    def settle(self) -> bool:
        """See what is new and wait until its first deliveries were tried."""
        self.look()
        return self.webhooks.flush(FLUSH_S)

    def institution_id_of(self, bank_id: str) -> str:
        """Return Plaid's id of one of the world's banks."""
        return next(one for one, bank in self.institutions.items() if bank.id == bank_id)

    def item(self, item_id: str) -> Item:
        """Return an Item by its id. Unknown is an ITEM_NOT_FOUND."""
        item = self.items.find(item_id)
        if item is None:
            raise plaid_error("ITEM_NOT_FOUND")
        return item

    def _on_advance(self) -> None:
        self.look()
        self.webhooks.wake()


@dataclass(frozen=True)
class Call:
    """One accepted request. `fault` is one that concerns the meaning of the answer."""

    plaid: Plaid
    operation: str
    body: Mapping[str, Any]
    now: datetime
    base_url: str
    opened: Item | None = None
    fault: Fault | None = None

    @property
    def item(self) -> Item:
        """The Item that the access token opened."""
        assert self.opened is not None, "only endpoints that open an Item ask for it"
        return self.opened

    @property
    def options(self) -> Mapping[str, Any]:
        """The request's `options`, empty when there are none."""
        return self.body.get("options") or {}


@dataclass(frozen=True)
class Endpoint:
    """
    What a path does and accepts. `access_token` in its shape makes it open an Item.

    `works_when_broken` endpoints answer for Items that need their owner, too.
    """

    answer: Callable[[Call], dict[str, Any]]
    shape: Shape
    works_when_broken: bool = False


def _name_institutions(world: World) -> Mapping[str, Bank]:
    named: dict[str, Bank] = {}
    numbers = {False: _PLAIN_INSTITUTIONS, True: _OAUTH_INSTITUTIONS}
    banks: Sequence[Bank] = sorted(world.banks.values(), key=lambda bank: bank.id)
    for bank in banks:
        named[f"ins_{numbers[bank.oauth]}"] = bank
        numbers[bank.oauth] += 1
    return named
