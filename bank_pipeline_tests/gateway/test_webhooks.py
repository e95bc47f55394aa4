"""The receiver's bounds, and what it leaves behind of what it does not believe."""

import random
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import islice, product
from typing import Final

import pytest

from bank_pipeline.bootstrap import Services
from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.gateway import protocol, webhooks
from bank_pipeline.gateway.serve import HEAD_BYTES_MAX, GatewayThread
from bank_pipeline.gateway.webhooks import BODY_BYTES_MAX
from bank_pipeline_tests.gateway.forgeries import PLAID, SECRET, TELLER, Forger, Sent
from bank_pipeline_tests.gateway.wire import Wire
from bank_pipeline_tests.providers.teller.builders import build_provider
from bank_pipeline_tests.sync.ground import Ground
from bank_pipeline_tests.waiting import wait_until

BAD: Final = 2000


class Door:
    """A gateway for Plaid and Teller, and what it stored."""

    def __init__(self, ground: Ground, port: int) -> None:
        self.ground = ground
        self.port = port
        keys = ground.sandbox.plaid.keys
        self.forger = Forger(random.Random(7), keys.sign, keys.kids()[-1])

    def send(self, *sent: Sent) -> list[int | None]:
        """Send webhooks over one connection; return the answers."""
        with closing(Wire(self.port)) as wire:
            return [wire.send(one) for one in sent]

    def genuine(self, path: str = PLAID, name: str = "item-1") -> Sent:
        return self.forger.genuine(path, self.ground.context.clock(), name)

    def stored(self) -> list[str]:
        return [
            row[0]
            for row in self.ground.query(
                "SELECT connection_external_id FROM bank.webhook_events ORDER BY id"
            )
        ]

    def refused(self) -> dict[tuple[str, str], int]:
        rows = self.ground.query("SELECT provider, refusal, times FROM bank.webhook_refusals")
        return {(row[0], row[1]): row[2] for row in rows}

    def speak(self, *parts: bytes, half: bool = False) -> bytes:
        """Say these bytes, and return the whole answer, or what came until they closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as line:
            for part in parts:
                line.sendall(part)
            if half:
                line.shutdown(socket.SHUT_WR)
            answer = b""
            has_body = not parts[0].startswith(b"HEAD ")
            while not _is_whole(answer, has_body=has_body) and (more := line.recv(65536)):
                answer += more
            return answer


def _is_whole(answer: bytes, *, has_body: bool) -> bool:
    """Say whether an answer and its body are there: they may come one after the other."""
    top, end, body = answer.partition(b"\r\n\r\n")
    told = re.search(rb"(?im)^content-length: *(\d+)", top)
    length = int(told[1]) if told and has_body else 0
    return bool(end) and len(body) >= length


@pytest.fixture
def door(ground: Ground) -> Iterator[Door]:
    teller = build_provider("http://127.0.0.1:9", teller_signing_secret=SECRET)
    context = replace(
        ground.context, providers={**ground.context.providers, Provider.TELLER: teller}
    )
    with GatewayThread(Services(settings=Settings(_env_file=None), sync=context)) as gateway:
        yield Door(replace(ground, context=context), int(gateway.url.rpartition(":")[2]))


def head(length: int, path: str = PLAID, *, more: str = "") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: us", f"Content-Length: {length}"]
    return ("\r\n".join(lines) + f"\r\n{more}\r\n").encode()


@pytest.mark.parametrize("path", [PLAID, TELLER])
def test_what_is_genuine_is_stored(door: Door, path: str) -> None:
    assert door.send(door.genuine(path)) == [200]
    assert door.stored() == ["item-1"]
    assert door.refused() == {}


def test_a_body_that_says_it_is_too_long_is_not_waited_for(door: Door) -> None:
    """The answer comes before a byte of the body was sent."""
    answers = [door.speak(head(length)) for length in (BODY_BYTES_MAX + 1, 10**11, 10**17)]

    assert {answer.split()[1] for answer in answers} == {b"413"}
    assert door.refused() == {("plaid", "too_large"): 3}


def test_a_body_that_does_not_say_how_long_it_is_is_read_no_further_than_it_may_be(
    door: Door,
) -> None:
    start = f"POST {PLAID} HTTP/1.1\r\nHost: us\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"

    assert door.speak(start, *[chunk] * 5).split()[1] == b"413"
    assert door.refused() == {("plaid", "too_large"): 1}


def test_a_head_that_never_ends_is_turned_away(door: Door) -> None:
    answer = door.speak(head(0)[:-2] + b"X: " + b"x" * HEAD_BYTES_MAX)

    assert answer.split()[1] == b"400"


def test_a_slow_body_is_not_waited_for(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "BODY_S_MAX", 0.2)

    assert door.speak(head(100), b"{").split()[1] == b"408"
    assert door.refused() == {("plaid", "too_slow"): 1}


def test_a_body_that_breaks_off_is_counted_and_nothing_else(door: Door) -> None:
    assert door.speak(head(100), b"{", half=True) == b""
    wait_until(lambda: door.refused() == {("plaid", "broken_off"): 1}, seconds=5)


@pytest.mark.parametrize("said", [b"", b"POST /webhooks/plaid HTT", head(0)[:-2]])
def test_whoever_asks_for_nothing_is_hung_up_on(
    door: Door, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """A connection that is opened, or begun, and then kept silent."""
    monkeypatch.setattr(protocol, "HEAD_S_MAX", 0.2)

    assert door.speak(said) == b""


def test_a_connection_that_is_used_lives_on(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_S_MAX", 0.2)
    one = door.genuine()
    raw = head(len(one.body), more=f"{one.headers[0][0]}: {one.headers[0][1]}\r\n") + one.body

    with socket.create_connection(("127.0.0.1", door.port), timeout=30) as line:
        answers = []
        for _ in range(3):
            line.sendall(raw)
            answers.append(line.recv(65536).split()[1])

    assert answers == [b"200"] * 3


def test_a_signature_that_comes_twice_is_none(door: Door) -> None:
    """A proxy may have looked at the other one."""
    for path in (PLAID, TELLER):
        one = door.genuine(path)
        assert door.send(replace(one, headers=one.headers * 2)) == [401]

    assert door.stored() == []


def test_only_posts_are_taken_and_only_where_a_provider_sends_any(door: Door) -> None:
    asked = {
        method + path: door.speak(f"{method} {path} HTTP/1.1\r\nHost: us\r\n\r\n".encode())
        for method, path in [
            ("GET", PLAID),
            ("PUT", PLAID),
            ("POST", "/webhooks/gocardless"),
            ("POST", "/webhooks/enable_banking"),
            ("POST", "/webhooks/../webhooks"),
            ("POST", "/webhooks/"),
        ]
    }

    found = {name: int(answer.split()[1]) for name, answer in asked.items()}
    assert set(found.values()) <= {404, 405}, found


def test_no_odd_request_is_a_failure_of_ours(door: Door) -> None:
    """Paths, hosts and methods that a scanner tries."""
    hosts = (b"us", b"[", b"[::1", b"a b", b"", b"\xff", b"us:99999", b"@@@", b"us/..%2f")
    paths = (b"/webhooks/plaid/", b"/webhooks/%70laid", b"/webhooks/%ff", b"/%00", b"*")
    asked = product((b"POST", b"HEAD", b"CONNECT"), (*paths, b"http://[/webhooks/plaid"), hosts)

    answers = {
        door.speak(b"%b %b HTTP/1.1\r\nHost: %b\r\nContent-Length: 0\r\n\r\n" % one).split()[1]
        for one in asked
    }

    assert answers <= {b"307", b"400", b"401", b"404", b"405"}


def test_an_answer_does_not_say_why(door: Door) -> None:
    """Whoever forges learns nothing from it."""
    now = door.ground.context.clock()
    answers = set()
    for one in (
        door.forger.bad_signer(PLAID, now),
        door.forger.bad_age(PLAID, now),
        door.forger.bad_algorithm(TELLER, now),
        Sent("unsigned", TELLER, b"{}", ()),
    ):
        lines = "".join(f"{name}: {value}\r\n" for name, value in one.headers)
        raw = head(len(one.body), one.path, more=lines) + one.body
        answers.add(door.speak(raw).partition(b"\r\n\r\n")[2])

    assert len(answers) == 1


def test_a_refusal_leaves_a_count_and_nothing_of_what_was_sent(door: Door) -> None:
    unsigned = Sent("unsigned", PLAID, b'{"item_id": "canary"}', (("X-Canary", "canary"),))
    assert door.send(*[unsigned] * 3) == [401] * 3
    door.ground.pass_time(timedelta(hours=2))
    assert door.send(unsigned) == [401]

    rows = door.ground.query("SELECT * FROM bank.webhook_refusals ORDER BY hour")
    assert [row.times for row in rows] == [3, 1]
    assert rows[1].hour - rows[0].hour == timedelta(hours=2)
    assert rows[0].first_at <= rows[0].last_at < rows[1].first_at
    assert "canary" not in str(rows)


def test_refusals_that_come_at_once_are_all_counted(door: Door) -> None:
    def storm(_: int) -> list[int | None]:
        return door.send(*[Sent("unsigned", PLAID, b"{}", ())] * 25)

    with ThreadPoolExecutor(8) as pool:
        answers = [status for part in pool.map(storm, range(8)) for status in part]

    assert answers == [401] * 200
    assert door.refused() == {("plaid", "unsigned"): 200}


def test_refusals_that_the_database_did_not_take_are_counted_later(door: Door) -> None:
    door.ground.execute("ALTER TABLE bank.webhook_refusals RENAME TO away")
    try:
        answers = door.send(*[Sent("unsigned", PLAID, b"{}", ())] * 3)
    finally:
        door.ground.execute("ALTER TABLE bank.away RENAME TO webhook_refusals")
    assert answers == [401] * 3

    assert door.send(Sent("unsigned", PLAID, b"{}", ())) == [401]
    assert door.refused() == {("plaid", "unsigned"): 4}


def test_forged_key_ids_cost_plaid_few_calls_and_say_come_again(door: Door) -> None:
    now = door.ground.context.clock()
    token = door.forger._token  # noqa: SLF001 - signs with any key id
    forged = [
        Sent("key", PLAID, b"{}", (("Plaid-Verification", token(b"{}", now, kid=f"k-{n}")),))
        for n in range(40)
    ]

    answers = door.send(*forged)

    assert set(answers) == {401, 429}
    assert door.ground.calls("/webhook_verification_key/get") <= 20
    assert door.refused()["plaid", Refusal.TOO_MANY_KEYS.value] == answers.count(429) >= 20


def test_a_plaid_that_cannot_be_asked_is_counted(door: Door) -> None:
    """Were it our keys that it refuses, nobody would else see why no webhook comes in."""
    door.ground.fail("/webhook_verification_key/get", "INTERNAL_SERVER_ERROR")

    assert door.send(door.genuine(), door.genuine()) == [429, 200]
    assert door.refused() == {("plaid", "key_unavailable"): 1}


def test_more_than_can_wait_are_told_to_come_again(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "WAITING_MAX", 0)
    assert door.send(*[door.genuine()] * 3) == [429] * 3
    monkeypatch.undo()

    assert door.send(door.genuine(), Sent("unsigned", PLAID, b"{}", ())) == [200, 401]
    assert door.refused() == {("plaid", "too_busy"): 3, ("plaid", "unsigned"): 1}


def test_a_replay_is_one_event_however_often_it_comes(door: Door) -> None:
    for path in (PLAID, TELLER):
        assert door.send(*[door.genuine(path, path)] * 5) == [200] * 5

    assert sorted(door.stored()) == [PLAID, TELLER]


def test_of_two_thousand_bad_webhooks_none_is_believed_and_none_is_a_failure_of_ours(
    door: Door,
) -> None:
    """Between genuine ones, which all arrive."""
    clock = door.ground.context.clock
    bad = [*islice(door.forger.endless(clock), BAD)]
    genuine = [door.genuine(path, f"item-{n}") for n in range(10) for path in (PLAID, TELLER)]
    mixed = bad + genuine
    door.forger.chance.shuffle(mixed)

    with ThreadPoolExecutor(4) as pool:
        parts = [mixed[first::4] for first in range(4)]
        answers = [one for part in pool.map(lambda part: door.send(*part), parts) for one in part]

    sent = [one for part in parts for one in part]
    wrong = [
        (one.kind, one.path, status)
        for one, status in zip(sent, answers, strict=True)
        if status not in one.statuses and not (one.kind == "size" and status is None)
    ]
    assert wrong == []
    assert sorted(door.stored()) == sorted(f"item-{n}" for n in range(10) for _ in range(2))
    assert sum(door.refused().values()) == BAD
