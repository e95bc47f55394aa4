"""`bank-pipeline doctor`: what is configured, what is reachable, what is missing."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import typer

from bank_pipeline.bootstrap import build_clock, build_providers
from bank_pipeline.cli.output import AsJson, print_rows
from bank_pipeline.cli.session import at_the_end
from bank_pipeline.config import Settings, find_unknown
from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import BankPipelineError
from bank_pipeline.providers.base import ProviderClient
from bank_pipeline.providers.cache import Cache, build_cache
from bank_pipeline.storage.audit import load_unsealed_late
from bank_pipeline.storage.credentials import load_vault
from bank_pipeline.storage.encryption_keys import check_key
from bank_pipeline.storage.engine import open_database
from bank_pipeline.storage.erasures import load_open_erasures
from bank_pipeline.storage.health import count_connections, load_health, load_pauses
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.inbox import load_lag
from bank_pipeline.storage.keys import open_source
from bank_pipeline.storage.migrate import check_revision
from bank_pipeline.storage.sight import load_sight
from bank_pipeline.storage.webhook_refusals import Refused, load_refusals
from bank_pipeline.sync.refusals import LATE

_LOOKED_BACK: Final = timedelta(days=1)
_PROBE: Final = "doctor"
_PROBE_S: Final = 60

_VARIABLES: Final = {
    Provider.ENABLE_BANKING: "ENABLE_BANKING_APPLICATION_ID, ENABLE_BANKING_KEY_PATH",
    Provider.PLAID: "PLAID_CLIENT_ID, PLAID_SECRET, PLAID_ENV",
    Provider.TELLER: "TELLER_APPLICATION_ID, TELLER_ENVIRONMENT, TELLER_CERT_PATH, TELLER_KEY_PATH",
    Provider.GOCARDLESS: "GOCARDLESS_SECRET_ID, GOCARDLESS_SECRET_KEY (existing customers only)",
}


@dataclass(frozen=True)
class Finding:
    """One part's health. `state`: ok, warning, missing or off."""

    part: str
    state: str
    detail: str


def doctor(as_json: AsJson = False) -> None:
    """Check every part and say what to do; ends with 1 if something needed is missing."""
    settings = Settings()
    findings = [
        *_check_database(settings),
        *_check_names(),
        _check_user(),
        *_check_providers(settings),
        *_check_pauses(settings),
        *_check_webhooks(settings),
        *_check_inbox(settings),
        *_check_duties(settings),
        _check_cache(settings),
        _check("clock", lambda: f"{build_clock(settings)():%Y-%m-%d %H:%M} UTC"),
    ]
    print_rows(
        findings,
        {"part": "part", "state": "state", "detail": "detail"},
        title="doctor",
        as_json=as_json,
    )
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


def _check(part: str, probe: Callable[[], str]) -> Finding:
    """Run one probe: its text when it is well, the error's own advice when not."""
    try:
        return Finding(part, "ok", probe())
    except BankPipelineError as error:
        return Finding(part, "missing", str(error))


def _check_database(settings: Settings) -> Iterator[Finding]:
    where = "external" if settings.database_url else f"embedded in {settings.state_dir}/pg"

    def reach() -> str:
        engine = at_the_end.enter_context(open_database(settings))
        health = load_health(engine)
        check_revision(health.revision)
        schema = "" if health.is_migrated else "; migrations run on first use"
        megabytes = health.size_bytes // 2**20
        return f"{where}, PostgreSQL {health.server_version}, {megabytes} MB{schema}"

    def key() -> str:
        engine = at_the_end.enter_context(open_database(settings))
        vault = load_vault(settings)
        if load_health(engine).is_migrated:
            check_key(engine, vault)
        return f"opens what is stored ({open_source(settings).name})"

    reached = _check("database", reach)
    yield reached
    if reached.state == "ok":
        yield _check("encryption key", key)
        yield from _check_sight(settings)


def _check_sight(settings: Settings) -> Iterator[Finding]:
    """Tell what of the separation of teams the database does not do here, and how it would."""
    engine = at_the_end.enter_context(open_database(settings))
    if not load_health(engine).is_migrated:
        return
    sight = load_sight(engine)
    if not sight.is_whole:
        detail = f'{sight.login} does not see every row: `GRANT bank_writer TO "{sight.login}"`'
        yield Finding("rows", "missing", detail)
    if sight.missing_roles:
        listed = ", ".join(sorted(sight.missing_roles))
        detail = f"the server has no {listed}: `CREATE ROLE` them, then `bank-pipeline db migrate`"
        yield Finding("database roles", "warning", detail)
    elif not sight.is_narrowed:
        detail = (
            "the gateway keeps teams apart by its own statements alone: `GRANT bank_reader TO "
            f'"{sight.login}"`, then `bank-pipeline db migrate`'
        )
        yield Finding("database roles", "warning", detail)
    for login, others in sight.analysts_with_more:
        detail = f"{login} is an analyst's login and has {others}, too: revoke that"
        yield Finding("database roles", "warning", detail)


def _check_names() -> Iterator[Finding]:
    """Tell of variables that look like settings and are none; their values may be secrets."""
    for name in find_unknown():
        detail = f"{name} is no setting of ours and is ignored: is it misspelt? See .env.example"
        yield Finding("settings", "warning", detail)


def _check_user() -> Finding:
    if os.geteuid() == 0:
        detail = "root: nothing here needs it; run it as a user of its own (docs/security.md)"
        return Finding("process", "warning", detail)
    return Finding("process", "ok", "not root")


def _check_providers(settings: Settings) -> Iterator[Finding]:
    try:
        clients = build_providers(settings, build_cache(settings))
    except BankPipelineError as error:
        yield Finding("providers", "missing", str(error))
        return
    for client in clients.values():
        at_the_end.callback(client.close)
    places = {
        Provider.PLAID: settings.plaid_base_url or settings.plaid_env,
        Provider.ENABLE_BANKING: settings.enable_banking_base_url or "Enable Banking",
        Provider.GOCARDLESS: settings.gocardless_base_url or "GoCardless",
        Provider.TELLER: settings.teller_base_url or settings.teller_environment,
    }
    used = _count_connections(settings)
    for provider, variables in _VARIABLES.items():
        configured = clients.get(provider)
        if configured is None:
            yield _tell_off(provider, variables, used.get(provider, 0))
            continue
        yield _check(provider, partial(_probe_provider, configured, places[provider]))


def _count_connections(settings: Settings) -> Mapping[Provider, int]:
    try:
        return count_connections(at_the_end.enter_context(open_database(settings)))
    except BankPipelineError:
        return {}  # the finding about the database says why


def _tell_off(provider: Provider, variables: str, used: int) -> Finding:
    """Say that a provider is not configured: every one is optional, but to what is linked by it."""
    if not used:
        return Finding(provider, "off", f"not configured; set {variables}")
    syncs = "1 connection goes" if used == 1 else f"{used} connections go"
    detail = f"not configured, and {syncs} through it: no sync of them comes right. Set {variables}"
    return Finding(provider, "warning", detail)


def _probe_provider(client: ProviderClient, where: str) -> str:
    client.check_links()
    return f"keys accepted ({where})"


def _check_pauses(settings: Settings) -> Iterator[Finding]:
    """Tell which providers are paused for everybody, because they refused our keys."""
    try:
        pauses = load_pauses(at_the_end.enter_context(open_database(settings)))
    except BankPipelineError:
        return  # the finding about the database says why
    for one in pauses:
        detail = (
            f"paused since {one.since:%Y-%m-%d %H:%M} UTC ({one.code}): no syncs; next probe "
            f"{one.next_probe_at:%H:%M} UTC. They go on by themselves when it passes"
        )
        yield Finding(f"{one.provider} syncs", "warning", detail)


def _check_duties(settings: Settings) -> Iterator[Finding]:
    """Tell what we owe: an audit log that is sealed, and erasures that were asked for."""
    try:
        engine = at_the_end.enter_context(open_database(settings))
        if not load_health(engine).is_migrated:
            return
        with engine.connect() as db:
            count, since = load_unsealed_late(db, now=build_clock(settings)())
            waiting = load_open_erasures(db)
    except BankPipelineError:
        return  # the finding about the database says why
    if since is not None:
        detail = (
            f"{count} entries are not sealed, the oldest of {since:%Y-%m-%d %H:%M} UTC: is "
            "audit_sensor on? `bank-pipeline audit verify` seals them"
        )
        yield Finding("audit log", "warning", detail)
    for one in waiting:
        detail = f"team {one.team_id}, since {one.asked_at:%Y-%m-%d}: {one.waits_for or one.state}"
        yield Finding("erasure", "warning", detail)


def _check_webhooks(settings: Settings) -> Iterator[Finding]:
    if settings.gateway_url is None:
        detail = "BANK_PIPELINE_GATEWAY_URL is not set: changes arrive with the daily sync only"
        yield Finding("webhooks", "warning", detail)
    else:
        yield Finding("webhooks", "ok", f"{settings.gateway_url}/webhooks/…")


def _check_inbox(settings: Settings) -> Iterator[Finding]:
    """Tell which webhooks wait too long, and that some were not believed."""
    try:
        now = build_clock(settings)()
        engine = at_the_end.enter_context(open_database(settings))
        if not load_health(engine).is_migrated:
            return
        with engine.connect() as db:
            late = [one for one in load_lag(db, now=now) if one.oldest_received_at <= now - LATE]
            refused = load_refusals(db, since=now - _LOOKED_BACK)
    except BankPipelineError:
        return  # the finding about the database says why
    for one in late:
        since = f"{one.oldest_received_at:%Y-%m-%d %H:%M}"
        detail = (
            f"{one.events} wait for a sync, the oldest since {since} UTC: is Dagster's daemon "
            "running? `bank-pipeline webhooks lag`"
        )
        yield Finding(f"webhooks of {one.provider}", "warning", detail)
    for provider in sorted({one.provider for one in refused}):
        yield Finding(f"webhooks of {provider}", "warning", _refused_lately(refused, provider))


def _refused_lately(refused: Sequence[Refused], provider: Provider) -> str:
    counts: Counter[str] = Counter()
    for one in refused:
        if one.provider is provider:
            counts[one.refusal.value] += one.times
    listed = ", ".join(f"{times} {why}" for why, times in counts.most_common())
    return f"refused in the last 24 hours: {listed}. `bank-pipeline webhooks refused`"


def _check_cache(settings: Settings) -> Finding:
    """Say whether it keeps anything: nothing fails while it does not, so that nobody would hear."""
    try:
        cache = build_cache(settings)
    except BankPipelineError as error:
        return Finding("cache", "missing", str(error))
    where = "Redis" if settings.redis_url else f"files in {settings.state_dir}/cache"
    if cache.is_reachable() and _keeps(cache):
        return Finding("cache", "ok", where)
    detail = f"{where}: does not answer or keeps nothing; until it does, providers are asked anew"
    return Finding("cache", "warning", detail)


def _keeps(cache: Cache) -> bool:
    written = {"id": new_id()}
    cache.drop(_PROBE)
    cache.get_or_create(_PROBE, lambda: written, ttl_s=_PROBE_S)
    return cache.get_or_create(_PROBE, dict, ttl_s=_PROBE_S) == written
