"""An installation over prepared banks: linked connections of four providers, synced once."""

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Final

import dagster as dg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.cli.playground import playground_environment
from bank_pipeline.cli.processes import dagster_environment
from bank_pipeline.config import Settings
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage import embedded
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.link import link_with_token
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.environment import kept_environment
from benchmarks.banks.server import LONG, PreparedBanks, prepared_banks
from benchmarks.rates import widen_rates

PROVIDERS: Final = (
    Provider.PLAID,
    Provider.TELLER,
    Provider.GOCARDLESS,
    Provider.ENABLE_BANKING,
)
THREADS: Final = 8  # as a run has by default
PER_TEAM: Final = 4  # connections
_TOKENS: Final = {
    Provider.PLAID: "public-{:08}",
    Provider.TELLER: "test_token_{:08}",
    Provider.GOCARDLESS: "req-{:08}",
    Provider.ENABLE_BANKING: "code-{:08}",
}


@dataclass
class Prepared:
    """Linked connections in the order of their numbers; providers in turn."""

    banks: PreparedBanks
    services: Services
    instance: dg.DagsterInstance
    folder: Path
    ids: list[ConnectionId]
    linked_count: int = 0

    def link(self, count: int) -> list[ConnectionId]:
        """Link so many more, and make their first syncs."""
        begin = self.linked_count
        self.linked_count += count
        with ThreadPoolExecutor(THREADS) as pool:
            ids = [*pool.map(self._link, range(begin, begin + count))]
        self.instance.add_dynamic_partitions(CONNECTIONS, ids)
        self.ids += ids
        return ids

    def link_long(self, rows: int) -> ConnectionId:
        """Link one at Plaid with so many rows of history, and leave its first sync to others."""
        assert rows % 1_000 == 0, "the number tells thousands"
        id_ = self._link(LONG + rows // 1_000, Provider.PLAID)
        self.instance.add_dynamic_partitions(CONNECTIONS, [id_])
        return id_

    def _link(self, number: int, provider: Provider | None = None) -> ConnectionId:
        provider = provider or PROVIDERS[number % len(PROVIDERS)]
        token = SecretStr(_TOKENS[provider].format(number))
        return link_with_token(
            self.services.sync, provider, token, team_name=f"team {number // PER_TEAM}"
        )

    def sync(self, ids: Sequence[ConnectionId], *, reason: SyncReason) -> float:
        """Sync connections in threads of this process; return the CPU seconds it took."""
        before = process_time()
        with ThreadPoolExecutor(THREADS) as pool:
            wanted = [SyncRequest(one, reason) for one in ids]
            done = [*pool.map(lambda one: sync_connection(self.services.sync, one), wanted)]
        assert len(done) == len(ids), "each was synced"
        return process_time() - before


@contextmanager
def prepared() -> Iterator[Prepared]:
    """Start banks, database and instance; end them all."""
    folder = Path(tempfile.mkdtemp(prefix="bank-bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(kept_environment())
        banks = stack.enter_context(prepared_banks())
        stack.callback(embedded.stop, folder)
        os.environ |= environment(folder, banks.url)
        widen_rates()
        os.environ |= dagster_environment(Settings())
        services = stack.enter_context(closing(build_services(Settings())))
        instance = stack.enter_context(dg.DagsterInstance.get())
        yield Prepared(banks, services, instance, folder, [])


def environment(folder: Path, url: str) -> dict[str, str]:
    """Return the variables of an installation that knows these banks, by the real clock."""
    return {
        **playground_environment(folder, url),
        "BANK_PIPELINE_CLOCK_URL": "",
        "GOCARDLESS_SECRET_ID": "bench",
        "GOCARDLESS_SECRET_KEY": "bench",
        "GOCARDLESS_BASE_URL": f"{url}/gocardless",
        "ENABLE_BANKING_APPLICATION_ID": "bench",
        "ENABLE_BANKING_KEY_BASE64": _new_key(),
        "ENABLE_BANKING_BASE_URL": f"{url}/enable_banking",
        "TELLER_APPLICATION_ID": "app_bench",
        "TELLER_BASE_URL": url,
    }


def _new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return base64.b64encode(text).decode()
