"""What a scrape of `/metrics` costs over connections that were synced for a month."""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import httpx
import sqlalchemy as sa

from bank_pipeline.bootstrap import Services, system_now
from bank_pipeline.config import Settings
from bank_pipeline.gateway.metrics import FRESH_S
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.storage import embedded
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.figures import load_figures
from bank_pipeline.storage.migrate import migrate
from bank_pipeline.sync.context import SyncContext
from benchmarks.results import load_of_machine

CONNECTIONS: Final = {"short": 1_000, "full": 10_000}
DAYS: Final = 30
LOADS: Final = 7
SCRAPES: Final = 100
LOAD_S_MAX: Final = 2.0

_FILL: Final = (
    "INSERT INTO bank.teams (id, name, created_at) VALUES (gen_random_uuid(), 'scrape', now())",
    """
    INSERT INTO bank.connections (id, team_id, provider, external_id, institution_name, status,
        status_since, history_stage, created_at, last_attempt_at, last_success_at,
        consent_expires_at)
    SELECT gen_random_uuid(), (SELECT id FROM bank.teams),
        (ARRAY['plaid', 'gocardless', 'teller', 'enable_banking'])[1 + n % 4], 'x' || n,
        'Bank ' || n % 300,
        (ARRAY['active', 'active', 'active', 'active', 'active', 'error', 'needs_reauth',
               'expiring'])[1 + n % 8],
        now(), 'complete', now() - interval '90 days', now() - random() * interval '1 day',
        now() - random() * interval '26 hours', now() + random() * interval '90 days'
    FROM generate_series(1, :connections) n
    """,
    """
    INSERT INTO bank.accounts (id, team_id, connection_id, external_id, name, type, provider_type,
        content_hash, created_at, updated_at)
    SELECT gen_random_uuid(), team_id, id, external_id || '-' || k, 'Account', 'checking', 'x',
        'x'::bytea, now(), now()
    FROM bank.connections, generate_series(1, 3) k
    """,
    """
    INSERT INTO bank.account_coverage (account_id, team_id, first_day, last_day, updated_at,
        begun_at)
    SELECT id, team_id, current_date - 400, current_date - 300, now(), now() FROM bank.accounts
    WHERE random() < 0.05
    UNION ALL
    SELECT id, team_id, current_date - 200, current_date - 1, now(), now() FROM bank.accounts
    """,
    # Ids as of the time of each, as real ones are.
    """
    INSERT INTO bank.sync_runs (id, connection_id, team_id, reason, started_at, ended_at, outcome,
        error_class, counts)
    SELECT (lpad(to_hex(floor(extract(epoch FROM t) * 1000)::bigint), 12, '0') || '7000' || '8'
            || substr(md5(random()::text), 1, 15))::uuid, id, team_id,
        (ARRAY['schedule', 'webhook', 'manual'])[1 + floor(random() * 3)::int], t,
        t + random() * interval '8 seconds', CASE WHEN ok THEN 'synced' ELSE 'failed' END,
        CASE WHEN NOT ok THEN 'transient' END,
        jsonb_build_object(
            'transactions', jsonb_build_object('inserted', floor(random() * 5), 'updated', 1,
                                               'removed', 0, 'unchanged', 80),
            'windows', jsonb_build_object(
                gen_random_uuid()::text, jsonb_build_object('asked', '[]'::jsonb),
                gen_random_uuid()::text, jsonb_build_object('asked', '[]'::jsonb)))
    FROM (SELECT id, team_id, now() - random() * make_interval(days => :days) AS t,
                 random() < 0.95 AS ok
          FROM bank.connections, generate_series(1, :days)) s
    """,
    """
    INSERT INTO bank.provider_calls (connection_id, team_id, account_external_id, scope,
        is_scheduled, called_at, outcome, calls_left, provider, operation, calls_max, scheduled_max)
    SELECT c.id, c.team_id, a.external_id, scope, true, now() - random() * interval '7 days',
        'applied', 3, c.provider, 'accounts/' || scope, 4, 2
    FROM bank.connections c JOIN bank.accounts a ON a.connection_id = c.id,
        unnest(ARRAY['balances', 'transactions']) scope, generate_series(1, 14)
    WHERE c.provider IN ('gocardless', 'enable_banking')
    """,
    """
    INSERT INTO bank.webhook_events (provider, event_key, kind, code, connection_external_id,
        received_at, handled_at)
    SELECT 'plaid', 'k' || n, 'sync', 'X', 'x' || 4 * (n % (:connections / 4)),
        now() - random() * interval '90 days', CASE WHEN n % 500 <> 0 THEN now() END
    FROM generate_series(1, 50 * :connections) n
    """,
    """
    INSERT INTO bank.notifications (id, team_id, kind, dedupe_key, state, payload, created_at)
    SELECT gen_random_uuid(), (SELECT id FROM bank.teams), 'new_transactions', 'd' || n, 'sent',
        '{}', now()
    FROM generate_series(1, 20 * :connections) n
    """,
)


def measure(size_name: str) -> dict[str, Any]:
    """Measure; return the figures and the broken limits."""
    found = _measure(CONNECTIONS[size_name])
    median = found["load_s"]["median"]
    found["broken"] = [f"all figures took {median} s"] if median > LOAD_S_MAX else []
    return found


def _measure(connections: int) -> dict[str, Any]:
    """Return how long the database takes for all figures, and a scrape while they are fresh."""
    load_before = load_of_machine()
    with filled(connections) as services:
        engine = services.sync.engine
        loads = [_timed(lambda: load_figures(engine, now=system_now())) for _ in range(LOADS)]
        with GatewayThread(services) as gateway, httpx.Client(base_url=gateway.url) as http:
            http.get("/metrics")
            scrapes = [_timed(lambda: http.get("/metrics")) for _ in range(SCRAPES)]
            size = len(http.get("/metrics").content)
    return {
        "connections": connections,
        "load_per_core_before": load_before,
        "load_s": {"median": round(statistics.median(loads), 3), "max": round(max(loads), 3)},
        "asked_every_s": FRESH_S,
        "fresh_scrape_ms": {
            "median": round(statistics.median(scrapes) * 1000, 2),
            "p95": round(statistics.quantiles(scrapes, n=20)[-1] * 1000, 2),
        },
        "answer_bytes": size,
    }


@contextmanager
def filled(connections: int) -> Iterator[Services]:
    """Make a database of its own with what so many connections leave behind in a month."""
    with tempfile.TemporaryDirectory(prefix="bank-scrape-") as name:
        folder = Path(name)
        engine = build_engine(embedded.ensure_running(folder, is_durable=False))
        try:
            migrate(engine)
            with engine.begin() as db:
                db.execute(sa.text("SET LOCAL statement_timeout = 0"))
                for statement in _FILL:
                    bound = {"connections": connections, "days": DAYS}
                    wanted = {key: bound[key] for key in bound if f":{key}" in statement}
                    db.execute(sa.text(statement), wanted)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                db.execute(sa.text("VACUUM ANALYZE"))
            context = SyncContext(
                engine=engine,
                providers={},
                vault=Vault([bytes(32)]),
                clock=system_now,
                cache=build_file_cache(folder / "cache"),
            )
            yield Services(settings=Settings(_env_file=None), sync=context)
        finally:
            engine.dispose()
            embedded.stop(folder)


def _timed(what: Callable[[], object]) -> float:
    begun = perf_counter()
    what()
    return perf_counter() - begun
