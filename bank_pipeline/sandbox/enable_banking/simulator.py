"""What the simulated Enable Banking knows, one lock around it, and what a call is."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.enable_banking.aspsp_table import ASPSPS
from bank_pipeline.sandbox.enable_banking.ids import Mint
from bank_pipeline.sandbox.enable_banking.options import Application, EnableBankingOptions
from bank_pipeline.sandbox.enable_banking.profiles import Aspsp
from bank_pipeline.sandbox.enable_banking.quota import Quota
from bank_pipeline.sandbox.enable_banking.sessions import Grant, Session, SessionBook
from bank_pipeline.sandbox.enable_banking.tokens import Gate, own_key_pem, public_pem_of
from bank_pipeline.sandbox.faults import Fault, FaultPlan
from bank_pipeline.sandbox.world import World

_REQUESTS_MAX: Final = 20_000


@dataclass(frozen=True)
class PagePlace:
    """What a continuation key stands for: a listing of an account, and the last row told."""

    uid: str
    binding: tuple[str, ...]
    after: tuple[date, str] | None
    since: date | None
    until: date | None
    listing: int
    at: datetime


@dataclass
class Registered:
    """An application as it stands now."""

    setting: Application
    redirect_urls: list[str]
    active: bool
    linked_account_ids: set[str] = field(default_factory=set)


class State:
    """
    Everything one simulated Enable Banking knows. `lock` guards all of it.

    `requests` is what came in, oldest first, without the tokens. Operations of faults are
    named in `app`.
    """

    def __init__(
        self,
        world: World,
        clock: VirtualClock,
        *,
        faults: FaultPlan,
        options: EnableBankingOptions,
        seed: int = 0,
    ) -> None:
        self.world = world
        self.clock = clock
        self.faults = faults
        self.options = options
        self.seed = seed
        self.lock = threading.RLock()
        self.mint = Mint(seed)
        self.applications = {
            one.application_id: Registered(one, list(one.redirect_urls), one.active)
            for one in options.applications
        }
        self.private_key_pem = own_key_pem()
        self.gate = Gate(
            {
                one.application_id: one.public_key_pem or public_pem_of(self.private_key_pem)
                for one in options.applications
            },
            clock=options.jwt_clock,
            lenient=options.lenient_jwt,
        )
        self.aspsps: list[Aspsp] = list(ASPSPS)
        self.sessions = SessionBook()
        self.quota = Quota(options.unattended_per_day)
        self.page_size = options.page_size
        self.places: dict[str, PagePlace] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_MAX)
        self.released = threading.Event()  # ends calls that a fault lets hang

    def application(self, application_id: str) -> Registered:
        """Return a registered application. Unknown: KeyError."""
        return self.applications[application_id]


@dataclass(frozen=True)
class Call:
    """One accepted request. `fault` is one that concerns the meaning of the answer."""

    wing: State
    application_id: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    now: datetime
    base_url: str
    fault: Fault | None = None

    @property
    def application(self) -> Registered:
        """The application that asks."""
        return self.wing.applications[self.application_id]

    def account(self) -> tuple[Session, Grant]:
        """Return the account of the path in a session that can be read."""
        uid = self.path["account_id"]
        session, grant = self.wing.sessions.account(self.application_id, uid)
        session.check_readable(self.now)
        return session, grant


@dataclass(frozen=True)
class Endpoint:
    """What a path does. Its `operation` counts calls and names faults."""

    operation: str
    method: str
    path: str
    answer: Callable[[Call], dict[str, Any]]
