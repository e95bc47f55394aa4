"""A whole installation over simulated banks: the environment, the services, linked connections."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import sqlalchemy as sa

from bank_pipeline.bootstrap import Services
from bank_pipeline.cli.proof import compare_connection
from bank_pipeline.cli.simulated import link_simulated_bank
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.providers.http import fetch_json
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.evidence import load_evidence
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncReport, SyncRequest

COUNTRIES: Final = "US,GB,DE,FR,ES,NL,IE,IT"
HISTORY_IS_READY: Final = timedelta(minutes=2)  # by then the simulated Plaid has prepared it
KEY: Final = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SECRET: Final = "canary-secret-of-the-client"


@dataclass(frozen=True)
class Installation:
    """Simulated banks, and the services that watch them. The clock stands still until moved."""

    sandbox: SandboxServer
    services: Services

    @property
    def logins(self) -> list[str]:
        """The people of the simulated world who have a bank to link."""
        return [*self.sandbox.world.logins]

    def link(self, count: int = 1) -> list[ConnectionId]:
        """Link the first `count` logins through the hosted page; their history is then ready."""
        ids = [link_simulated_bank(self.services, login) for login in self.logins[:count]]
        self.sandbox.advance(HISTORY_IS_READY)
        return ids

    def sync(self, connection_id: ConnectionId) -> SyncReport:
        """Sync one connection in this process."""
        return sync_connection(self.services.sync, SyncRequest(connection_id, SyncReason.MANUAL))

    def stored(self, connection_id: ConnectionId) -> Connection:
        """Load what is stored of a connection."""
        with self.services.sync.engine.connect() as db:
            return load_connection(db, connection_id)

    def rows(self, connection_id: ConnectionId) -> int:
        """Count a connection's live transactions."""
        query = "SELECT count(*) FROM analytics.transactions WHERE connection_id = :id"
        return int(self.value(query, id=connection_id))

    def value(self, query: str, **bound: Any) -> Any:
        """Return one value of the database."""
        with self.services.sync.engine.connect() as db:
            return db.scalar(sa.text(query), bound)

    def syncs(self) -> int:
        """Count all syncs that were begun."""
        return int(self.value("SELECT count(*) FROM bank.sync_runs"))

    def differences(self, connection_id: ConnectionId) -> list[str]:
        """Compare the tables with what the bank says, to the row and the cent."""
        connection = self.stored(connection_id)
        sandbox_url = self.services.settings.plaid_base_url
        truth = fetch_json(f"{sandbox_url}/_sim/truth?item_id={connection.external_id}")
        with self.services.sync.engine.connect() as db:
            held = load_evidence(db, connection_id)
        compared = compare_connection("bank", truth, held)
        assert compared, "a linked bank shows accounts"
        return [difference for row in compared for difference in row.differences]


@contextmanager
def simulated_banks(*, logins: int = 3, history_days: int = 40) -> Iterator[SandboxServer]:
    """Serve a small living world without rate limits, whose clock stands still."""
    world = World(7, clock=VirtualClock(USUAL_START), logins=logins, history_days=history_days)
    options = PlaidOptions(secret=SECRET, limit_scale=None)
    with SandboxServer(seed=7, world=world, options=options) as sandbox:
        yield sandbox


def variables(sandbox: SandboxServer, *, database_url: str, state_dir: Path) -> dict[str, str]:
    """Return the environment of an installation over these banks and this database."""
    return {
        "BANK_PIPELINE_STATE_DIR": str(state_dir),
        "BANK_PIPELINE_DATABASE_URL": database_url,
        "BANK_PIPELINE_CLOCK_URL": f"{sandbox.url}/_sim/clock",
        "BANK_PIPELINE_ENCRYPTION_KEY": KEY,
        "BANK_PIPELINE_WEBHOOK_WAIT_S": "0",
        "PLAID_CLIENT_ID": sandbox.plaid.options.client_id,
        "PLAID_SECRET": sandbox.plaid.options.secret,
        "PLAID_ENV": "sandbox",
        "PLAID_BASE_URL": sandbox.url,
        "PLAID_COUNTRY_CODES": COUNTRIES,
    }


@contextmanager
def emptied(instance: dg.DagsterInstance, engine: sa.Engine) -> Iterator[dg.DagsterInstance]:
    """Give the Dagster instance, whose tables are in our database, without runs or events."""
    with engine.begin() as db:
        tables = ", ".join(f'dagster."{table}"' for table in db.scalars(_INSTANCE_TABLES))
        db.exec_driver_sql(f"TRUNCATE {tables}")  # at once, since they refer to each other
    yield instance


_INSTANCE_TABLES: Final = sa.text(
    "SELECT tablename FROM pg_tables WHERE schemaname = 'dagster' "
    "AND tablename NOT IN ('alembic_version', 'secondary_indexes', 'instance_info')"
)
