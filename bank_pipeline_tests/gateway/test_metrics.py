"""`/metrics`: what Prometheus reads equals the tables, and tells nothing of anybody."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

import httpx
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from bank_pipeline.bootstrap import Services
from bank_pipeline.config import Settings
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import ProviderError
from bank_pipeline.gateway.app import create_app
from bank_pipeline.gateway.metrics import FRESH_S
from bank_pipeline.gateway.observing import UNMATCHED
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.figures import load_figures
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.architecture.sources import ROOT
from bank_pipeline_tests.gateway.conftest import Gate
from bank_pipeline_tests.sync.ground import CHECKING, SYNC, Ground

PREFIX: Final = "bank_pipeline_"
NEWS: Final = '{"webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE", "n": 1}'
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Samples:
    """Read an answer with the official parser: name and labels, and the number."""
    return {
        (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(http: httpx.Client) -> Samples:
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return parse(answer.text)


def of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def by(samples: Samples, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return a family's numbers by the values of its labels, those that are 0 left out."""
    return {
        tuple(dict(found)[label] for label in labels): value
        for (one, found), value in samples.items()
        if one == name and value
    }


@contextmanager
def another_gateway(
    ground: Ground, settings: Settings | None = None, **parts: object
) -> Iterator[httpx.Client]:
    """Serve a gateway that has asked the database nothing yet."""
    context = replace(ground.context, **parts)  # type: ignore[arg-type]
    services = Services(settings=settings or Settings(_env_file=None), sync=context)
    with GatewayThread(services) as gateway, httpx.Client(base_url=gateway.url) as http:
        yield http


def live_through_a_day(gate: Gate) -> list[ConnectionId]:
    """Link three banks; sync them, fail some, and leave one to its customer."""
    ground = gate.ground
    ids = [ground.link(f"login-{number}") for number in (1, 2, 3)]
    for one in ids:
        ground.sync(one, SyncReason.INITIAL)  # which has the history prepared
    ground.pass_time(timedelta(hours=30))  # what was before is no part of the day
    for number in range(3):
        ground.world.add_booked(CHECKING, Decimal(-number - 1))
    for number, one in enumerate(ids):
        ground.pass_time(timedelta(minutes=7))
        ground.sync(one, SyncReason.SCHEDULE if number else SyncReason.MANUAL)
    ground.fail(SYNC, "INTERNAL_SERVER_ERROR", times=None)
    for _ in range(2):
        with suppress(ProviderError):
            ground.sync(ids[1], SyncReason.WEBHOOK)
    ground.sandbox.faults.clear()
    ground.break_item(ids[2])
    with suppress(ProviderError):
        ground.sync(ids[2], SyncReason.SCHEDULE)
    ground.pass_time(timedelta(minutes=5))
    return ids


def test_numbers_of_syncs_equal_the_tables(gate: Gate) -> None:
    live_through_a_day(gate)
    query = gate.ground.query
    samples = scrape(gate.http)

    recent = "ended_at > :now - interval '24 hours'"
    now = gate.ground.context.clock()
    runs = query(
        f"SELECT reason, outcome, count(*) FROM bank.sync_runs WHERE {recent} GROUP BY 1, 2",
        now=now,
    )
    told = by(samples, "syncs_24h", "provider", "reason", "outcome")
    assert told == {("plaid", reason, outcome): n for reason, outcome, n in runs}
    assert {key[1:] for key in told} == {
        ("manual", "synced"),
        ("schedule", "synced"),
        ("webhook", "failed"),
        ("schedule", "failed"),
    }
    failures = query(
        f"SELECT error_class, count(*) FROM bank.sync_runs WHERE outcome = 'failed' AND {recent} "
        "GROUP BY 1",
        now=now,
    )
    assert by(samples, "sync_failures_24h", "error_class") == {(a,): n for a, n in failures}
    [[rows]] = query("SELECT count(*) FROM bank.transactions")
    assert of(samples, "sync_transactions_24h", provider="plaid", change="inserted") == rows > 0
    [[longest]] = query(
        "SELECT extract(epoch FROM max(ended_at - started_at)) FROM bank.sync_runs "
        "WHERE ended_at > :now - interval '1 hour'",
        now=now,
    )
    told_longest = of(samples, "sync_duration_seconds_1h", provider="plaid", quantile="1")
    assert told_longest == float(longest)


def test_numbers_of_connections_equal_the_tables(gate: Gate) -> None:
    ids = live_through_a_day(gate)
    query, now = gate.ground.query, gate.ground.context.clock()
    query_statuses = "SELECT status, count(*) FROM bank.connections GROUP BY 1"
    samples = scrape(gate.http)

    assert by(samples, "connections", "status") == {(a,): n for a, n in query(query_statuses)}
    assert of(samples, "connections", provider="plaid", status="needs_reauth") == 1
    successes = [gate.ground.connection(one).last_success_at for one in ids[:2]]
    ages = sorted((now - one).total_seconds() for one in successes if one)
    for quantile, age in (("0.5", ages[0]), ("0.95", ages[1]), ("1", ages[1])):
        told = of(samples, "connection_freshness_seconds", provider="plaid", quantile=quantile)
        assert told == pytest.approx(age)
    assert of(samples, "connections_overdue", provider="plaid") == 0
    assert of(samples, "provider_paused", provider="plaid") == 0

    gate.ground.pass_time(timedelta(hours=27))
    with another_gateway(gate.ground) as http:
        later = scrape(http)
    assert of(later, "connections_overdue", provider="plaid") == 2
    assert by(later, "syncs_24h", "outcome") == {}


def test_webhooks_are_told_by_what_they_wait_for(gate: Gate) -> None:
    """A lag is what a sync should have covered, not what waits for a customer, or for nobody."""
    ids = live_through_a_day(gate)
    gate.send(json.dumps({**json.loads(NEWS), "item_id": "nobodys"}))
    for one in ids:
        gate.send(
            json.dumps({**json.loads(NEWS), "item_id": gate.ground.connection(one).external_id})
        )
    gate.send(NEWS, copies=2)
    gate.http.post("/webhooks/plaid", content=NEWS, headers={"Plaid-Verification": "forged"})
    gate.http.post("/webhooks/access-sandbox-canary", content=NEWS)
    gate.ground.pass_time(timedelta(seconds=90))
    samples = scrape(gate.http)

    waiting = by(samples, "webhooks_unhandled", "provider", "state")
    assert waiting[("plaid", "due")] == 2
    assert waiting[("plaid", "stopped")] == 1
    assert waiting[("plaid", "unknown")] >= 1
    assert of(samples, "webhook_lag_seconds", provider="plaid") == pytest.approx(90, abs=2)
    outcomes = by(samples, "webhook_deliveries_total", "provider", "outcome", "reason")
    assert outcomes.keys() == {("plaid", "refused", "malformed"), ("plaid", "stored", "")}
    assert outcomes[("plaid", "refused", "malformed")] == 1
    assert outcomes[("plaid", "stored", "")] == gate.ground.count("webhook_events") + 2


def test_what_waits_for_a_person_is_counted(gate: Gate) -> None:
    ids = live_through_a_day(gate)
    ground, now = gate.ground, gate.ground.context.clock()
    for statement in (
        (
            "INSERT INTO bank.quarantine (connection_id, team_id, sync_run_id, operation, reason, "
            "raw_ciphertext, raw_key_id, digest, at) SELECT c.id, c.team_id, gen_random_uuid(), "
            "'x', 'y', 'sealed', k.id, 'd', :now "
            "FROM bank.encryption_keys k, bank.connections c WHERE c.id = :id"
        ),
        (
            "INSERT INTO bank.operator_faults (id, source, subject, cause, opened_at, "
            "last_seen_at) VALUES (:id, 'run', 'x', 'y', :now, :now)"
        ),
        (
            "INSERT INTO bank.notifications (id, team_id, kind, dedupe_key, state, payload, "
            "created_at, next_attempt_at) SELECT :id, team_id, 'expiring', 'k', 'pending', '{}', "
            ":now, CAST(:now AS timestamptz) - interval '30 s' FROM bank.connections WHERE id = :id"
        ),
        (
            "UPDATE bank.connections SET consent_expires_at = CAST(:now AS timestamptz) + "
            "interval '3 days' WHERE id = :id"
        ),
    ):
        ground.execute(statement, id=ids[0], now=now)
    samples = scrape(gate.http)

    assert of(samples, "quarantined_rows", provider="plaid") == 1
    assert of(samples, "operator_faults", source="run") == 1
    assert of(samples, "operator_faults", source="check") == 0
    assert of(samples, "notices", state="pending") == 1
    assert of(samples, "notice_lag_seconds") == 30
    ends = by(samples, "consents_ending", "within")
    assert ends == {("7d",): 1, ("14d",): 1}


def test_quota_is_told_as_the_calls_were_made(gate: Gate) -> None:
    [connection, *_] = live_through_a_day(gate)
    ground, now = gate.ground, gate.ground.context.clock()
    ground.execute("DELETE FROM bank.provider_calls")
    for account, minutes_ago, left, is_counted in (
        ("one", 60, None, True),
        ("one", 30, None, True),
        ("one", 20, None, False),
        ("two", 10, 0, True),
        ("three", 90, 0, True),
        ("three", 80, 2, True),
        ("four", 5, 1, True),  # others call, too: the bank says so
        ("gone", 25 * 60, 0, True),
    ):
        ground.execute(
            "INSERT INTO bank.provider_calls (connection_id, team_id, account_external_id, scope, "
            "is_scheduled, called_at, outcome, calls_left, provider, operation, is_counted, "
            "calls_max) SELECT id, team_id, :account, 'balances', true, :at, 'answered', :left, "
            "'gocardless', 'x', :counted, 4 FROM bank.connections WHERE id = :id",
            id=connection,
            account=account,
            at=now - timedelta(minutes=minutes_ago),
            left=left,
            counted=is_counted,
        )
    samples = scrape(gate.http)

    labels = {"provider": "gocardless", "scope": "balances"}
    assert of(samples, "quota_used_calls", **labels) == 2 + 1 + 2 + 1
    assert of(samples, "quota_left_calls", **labels) == 2 + 0 + 2 + 1
    assert of(samples, "quota_exhausted_accounts", **labels) == 1
    assert of(samples, "provider_calls_24h", provider="gocardless", outcome="answered") == 7


def test_requests_are_told_by_template_and_never_by_path(gate: Gate) -> None:
    secret = "access-sandbox-canary"
    for path in (
        "/live",
        f"/api/v1/accounts/{secret}",
        f"/link/widget/{secret}?state={secret}",
        f"/{secret}",
        f"/webhooks/{secret}",
    ):
        gate.http.get(path)
    gate.http.request("PROPFIND", "/live")
    text = gate.http.get("/metrics").text
    told = by(parse(text), "http_requests_total", "method", "route", "status")

    assert told == {
        ("GET", "/live", "200"): 1,
        ("GET", "/api/v1/accounts/{account_id}", "401"): 1,
        ("GET", "/link/widget/{provider}", "404"): 1,
        ("GET", UNMATCHED, "404"): 2,
        ("other", "/live", "405"): 1,
    }
    assert secret not in text
    assert "PROPFIND" not in text
    count = of(parse(text), "http_request_duration_seconds_count", method="GET", route="/live")
    assert count == 1


def test_every_route_has_a_template_of_its_own(gate: Gate) -> None:
    """None is told as something else, however it was added."""
    app = create_app(Services(settings=Settings(_env_file=None), sync=gate.ground.context))
    declared = {path for path, methods in app.openapi()["paths"].items() if "get" in methods}
    for path in declared:
        gate.http.get(path.replace("{", "").replace("}", ""))
    told = by(scrape(gate.http), "http_requests_total", "route")

    assert {route for (route,) in told} >= declared > set()


def test_no_label_tells_of_anybody(gate: Gate) -> None:
    live_through_a_day(gate)
    text = gate.http.get("/metrics").text
    names = gate.ground.query(
        "SELECT id::text FROM bank.connections UNION SELECT id::text FROM bank.teams UNION "
        "SELECT institution_name FROM bank.connections UNION SELECT external_id FROM "
        "bank.connections UNION SELECT institution_external_id FROM bank.connections"
    )
    assert len(names) > 5
    assert [name for [name] in names if name and name in text] == []
    labels = {label for _, found in parse(text) for label, _ in found}
    assert labels <= {
        "provider", "status", "quantile", "within", "reason", "outcome", "error_class", "change",
        "state", "scope", "kind", "source", "method", "route", "le",
    }  # fmt: skip


def test_every_metric_is_in_the_operators_guide(gate: Gate) -> None:
    live_through_a_day(gate)
    gate.http.post("/webhooks/plaid", content=NEWS)
    families = [*text_string_to_metric_families(gate.http.get("/metrics").text)]
    ours = [one for one in families if one.name.startswith(PREFIX)]
    assert len(ours) > 25
    guide = (ROOT / "docs" / "operations.md").read_text()
    names = [
        one.name.removeprefix(PREFIX) + ("_total" if one.type == "counter" else "") for one in ours
    ]

    assert [name for name in names if f"`{name}`" not in guide] == []
    assert [one.name for one in ours if not one.documentation.endswith(".")] == []


def test_a_token_is_needed_where_one_is_set(ground: Ground) -> None:
    settings = Settings(_env_file=None, metrics_token=SecretStr("canary-of-prometheus"))
    with another_gateway(ground, settings) as http:
        for given in (
            None,
            "Bearer",
            "Bearer wrong",
            "Bearer canary-of-prometheu",
            "Basic canary-of-prometheus",
            "Bearer canary-of-prometheus \N{BULLET}",
        ):
            headers = {} if given is None else {b"Authorization": given.encode()}
            answer = http.get("/metrics", headers=headers)
            assert answer.status_code == 401, given
            assert "canary" not in answer.text
            assert answer.headers["www-authenticate"] == "Bearer"
        headers = {b"Authorization": b"Bearer canary-of-prometheus"}
        assert "bank_pipeline_database_up 1.0" in http.get("/metrics", headers=headers).text


def test_without_its_database_a_gateway_tells_that_and_its_own_numbers(ground: Ground) -> None:
    away = build_engine("postgresql://someone:canary@127.0.0.1:1/somewhere")
    with another_gateway(ground, engine=away) as http:
        http.get("/live")
        samples = scrape(http)

    assert of(samples, "database_up") == 0
    assert of(samples, "http_requests_total", method="GET", route="/live", status="200") == 1
    assert not [name for name, _ in samples if name.startswith("connections")]


def test_however_often_it_is_scraped_the_database_is_asked_now_and_then(gate: Gate) -> None:
    first = scrape(gate.http)
    gate.ground.link()
    second = scrape(gate.http)

    assert of(second, "figures_load_seconds") == of(first, "figures_load_seconds")
    age = of(second, "figures_age_seconds")
    assert age is not None
    assert 0 < age < FRESH_S
    figures = load_figures(gate.ground.engine, now=gate.ground.context.clock())
    assert [one.value for one in figures if one.name == "connections"] == [1]


def test_open_metrics_are_answered_to_who_asks_for_them(gate: Gate) -> None:
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = gate.http.get("/metrics", headers=headers)

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = open_metrics_families(answer.text)  # type: ignore[no-untyped-call]  # the library's
    assert {family.name for family in families} >= {
        "bank_pipeline_database_up",
        "bank_pipeline_http_requests",
    }
