"""What goes on meanwhile: time passes, customers link, people ask for syncs."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

import httpx
import sqlalchemy as sa

from bank_pipeline.cli.simulated import link_simulated_bank
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import BankPipelineError
from bank_pipeline.providers.http import build_http
from bank_pipeline.sandbox.chance import dice
from bank_pipeline.simulation.customers import Customer
from bank_pipeline.simulation.members import Member
from bank_pipeline.simulation.watcher import Watcher
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.listing import load_connection_ids
from bank_pipeline_tests.dagster_ui import launch
from chaos.journal import Journal
from chaos.stage import Stage

FAILS: Final = (
    BankPipelineError,
    httpx.HTTPError,
    sa.exc.DBAPIError,
    sa.exc.TimeoutError,
)
"""What a person meets while things break, and after which they try again."""

_TIME_PASSES_EVERY_S: Final = (5.0, 11.0)
_MINUTES: Final = (20, 150)
_ASKS_EVERY_S: Final = (2.0, 6.0)
_LOOKS_EVERY_S: Final = 20.0
_TRY_AGAIN_S: Final = 3.0
_END_S: Final = 600.0  # everybody who has not come yet comes then
_HEARD: Final = (202, 409, 429)


def link(stage: Stage, customer: Customer) -> int:
    """Link one bank through the gateway, as a person would; return after how many tries."""
    login = stage.place.world.add_login(customer.bank_id)
    tries = 1
    pause = threading.Event()
    while True:
        try:
            link_simulated_bank(
                stage.services, login.id, customer.provider, institution=customer.institution
            )
        except FAILS:
            tries += 1
            pause.wait(_TRY_AGAIN_S)
        else:
            return tries


def load_members(stage: Stage) -> list[Member]:
    """Return every connection that is stored, as the checkers of the simulation want it."""
    members = []
    with stage.services.sync.engine.connect() as db:
        stored = [load_connection(db, one) for one in sorted(load_connection_ids(db))]
    for number, connection in enumerate(stored):
        bank = connection.institution_name or "unknown"
        customer = Customer(number, connection.provider, bank, bank, False, timedelta(0))  # noqa: FBT003
        member = Member(customer, login_id="", connection_id=connection.id)
        member.external_ids = [connection.external_id]
        member.linked_at = connection.created_at
        member.has_left = connection.status is ConnectionStatus.DISCONNECTED
        members.append(member)
    return members


class Life:
    """Threads of what goes on. Each fails as a person or a machine fails, and goes on."""

    def __init__(
        self, stage: Stage, watcher: Watcher, journal: Journal, *, seed: int, seconds: float
    ) -> None:
        self._stage = stage
        self._watcher = watcher
        self._journal = journal
        self._seed = seed
        self._seconds = seconds
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.passed = timedelta(0)

    def start(self, newcomers: list[Customer]) -> None:
        """Begin; the newcomers link one after the other, spread over most of the time."""
        for act in (self._pass_time, self._ask_for_syncs, self._remember):
            self._start(act)
        self._start(lambda: self._come(newcomers))

    def stop(self) -> None:
        """End, once who is linking has done so: nobody is left without their bank."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_END_S)
            assert not thread.is_alive(), "somebody still links, with nothing in the way"

    def _start(self, act: Callable[[], None]) -> None:
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _pass_time(self) -> None:
        rolled = dice(self._seed, "time")
        while not self._stopping.wait(rolled.uniform(*_TIME_PASSES_EVERY_S)):
            passing = timedelta(minutes=rolled.randint(*_MINUTES))
            self._stage.place.world.clock.advance(passing)
            self.passed += passing
            with suppress(*FAILS):
                self._watcher.limits.drain()

    def _come(self, newcomers: list[Customer]) -> None:
        rolled = dice(self._seed, "newcomers")
        for number, customer in enumerate(newcomers):
            at_s = self._seconds * 0.8 * (number + rolled.random()) / len(newcomers)
            self._stopping.wait(max(0.0, at_s - self._journal.now_s))
            tries = link(self._stage, customer)
            words = f"{customer.provider} {customer.institution or customer.bank_id}"
            self._journal.count("customer linked", f"({words}, tries: {tries})")

    def _ask_for_syncs(self) -> None:
        rolled = dice(self._seed, "clicks")
        while not self._stopping.wait(rolled.uniform(*_ASKS_EVERY_S)):
            heard = False
            with suppress(*FAILS, AssertionError, KeyError):
                with self._stage.services.sync.engine.connect() as db:
                    known = sorted(load_connection_ids(db))
                ask_one = rolled.choice((_click, _post))
                heard = ask_one(self._stage, rolled.choice(known))
            self._journal.done["sync asked for" if heard else "nobody heard who asked"] += 1

    def _remember(self) -> None:
        """Write down under which names the providers show things, as long as they do."""
        while not self._stopping.wait(_LOOKS_EVERY_S):
            with suppress(*FAILS, KeyError):
                for member in load_members(self._stage):
                    self._watcher.remember(member)


def _click(stage: Stage, connection_id: ConnectionId) -> bool:
    """Materialise one partition as the button of Dagster's UI does; say whether it was heard."""
    return bool(launch(stage.webserver_url, connection_id))


def _post(stage: Stage, connection_id: ConnectionId) -> bool:
    """Ask over our own API, which may say that it is not now; say whether it was heard."""
    url = f"{stage.gateway_url}/api/v1/connections/{connection_id}/sync"
    headers = {"Authorization": f"Bearer {stage.api_key.get_secret_value()}"}
    with build_http(read_timeout_s=20) as http:
        return http.post(url, headers=headers).status_code in _HEARD
