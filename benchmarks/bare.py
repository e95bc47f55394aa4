"""
A bare loop that makes the same HTTP calls as a daily sync.

    python -m benchmarks.bare URL FIRST COUNT throw|hash

It throws the answers away, or it hashes every row and compares the hash with a known one: the least
that anybody has to do who wants to know what is new. Prints seconds of CPU and of the clock.
"""

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter, process_time
from typing import Any, Final

import httpx

from benchmarks.banks.answers import TOKEN
from benchmarks.banks.rows import ACCOUNTS

THREADS: Final = 8
WARM_UP: Final = 2 * THREADS  # connections that are read before anything is measured
_KEYS: Final = {"PLAID-CLIENT-ID": "bench", "PLAID-SECRET": "bench"}
_Call = tuple[str, str, dict[str, str], Any]


def calls_of(number: int) -> Iterator[_Call]:
    """Return the calls of one connection's daily sync, as the pipeline makes them."""
    yield from (_plaid, _teller, _gocardless, _enable_banking)[number % 4](f"{number:08}")


def _plaid(number: str) -> Iterator[_Call]:
    body = {"access_token": f"access-{number}", "count": 500, "cursor": "cursor-1"}
    yield "POST", "/transactions/sync", _KEYS, body


def _teller(number: str) -> Iterator[_Call]:
    user = base64.b64encode(f"test_token_{number}:".encode()).decode()
    headers = {"Authorization": f"Basic {user}", "Teller-Version": "2020-10-12"}
    yield "GET", "/accounts", headers, None
    for account in range(ACCOUNTS):
        path = f"/accounts/acc-{number}-{account}"
        yield "GET", f"{path}/transactions?count=500&start_date=2026-01-01", headers, None
        yield "GET", f"{path}/balances", headers, None


def _gocardless(number: str) -> Iterator[_Call]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    api = "/gocardless/api/v2"
    yield "GET", f"{api}/requisitions/req-{number}/", headers, None
    for account in range(ACCOUNTS):
        yield "GET", f"{api}/accounts/acc-{number}-{account}/", headers, None
    for account in range(ACCOUNTS):
        path = f"{api}/accounts/acc-{number}-{account}"
        yield "GET", f"{path}/transactions/?date_from=2026-01-01", headers, None
        yield "GET", f"{path}/balances/", headers, None


def _enable_banking(number: str) -> Iterator[_Call]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    yield "GET", f"/enable_banking/sessions/ses-{number}", headers, None
    for account in range(ACCOUNTS):
        path = f"/enable_banking/accounts/acc-{number}-{account}"
        yield "GET", f"{path}/transactions?date_from=2026-01-01", headers, None
        yield "GET", f"{path}/balances", headers, None


def _rows(answer: Any) -> Iterator[Any]:  # noqa: ANN401 - JSON enters
    """Find the rows in an answer of any of the four."""
    if isinstance(answer, list):
        yield from answer
    elif "added" in answer:
        yield from (*answer["added"], *answer["modified"])
    elif isinstance(answer.get("transactions"), dict):
        yield from answer["transactions"]["booked"]
    else:
        yield from answer.get("transactions", ())


def _hash(body: bytes, known: set[bytes]) -> int:
    new = 0
    for row in _rows(json.loads(body)):
        digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest()
        new += digest not in known
    return new


def _sync(http: httpx.Client, url: str, use: Callable[[bytes], object], number: int) -> None:
    for method, path, headers, body in calls_of(number):
        with http.stream(method, f"{url}{path}", headers=headers, json=body) as answer:
            text = b"".join(answer.iter_bytes())
        assert answer.status_code == 200, path
        use(text)


def main(url: str, first: int, count: int, *, hashes: bool) -> None:
    """Make the calls of so many connections, in threads."""
    known = {hashlib.sha256(b"%d" % number).digest() for number in range(1_000)}
    use: Callable[[bytes], object] = partial(_hash, known=known) if hashes else len
    limits = httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS)
    with httpx.Client(timeout=30, limits=limits) as http, ThreadPoolExecutor(THREADS) as pool:
        work = partial(_sync, http, url, use)
        [*pool.map(work, range(first, first + WARM_UP))]  # connections are open then
        begun, used = perf_counter(), process_time()
        [*pool.map(work, range(first, first + count))]
        print(json.dumps({"cpu_s": process_time() - used, "clock_s": perf_counter() - begun}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), hashes=sys.argv[4] == "hash")
