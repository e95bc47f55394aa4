"""One function per table of the page: from a part's results to Markdown. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

Found = Mapping[str, Any]


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def _write(found: Found) -> str:
    ways, ratios = found["ways"], found["ratios"]
    table = _table(
        (
            "way",
            "rows/s",
            "times COPY",
            "times COPY, by CPU",
            "client, us",
            "server, us",
            "WAL, MB",
        ),
        (
            (
                way["name"]
                + ("" if way["rows"] == found["rows"] else f" (sample of {way['rows']:,})"),
                _count(way["rows_per_s"]),
                _count(way["times_copy"]),
                _count(way["times_copy_by_cpu"]),
                _count(way["client_cpu_us_per_row"]),
                _count(way["server_cpu_us_per_row"]),
                _count(way["wal_mb"]),
            )
            for way in ways.values()
        ),
    )
    aims = {
        "fresh_to_copy": ("a first load, of COPY's rows per second", 0.7),
        "fresh_hashing_to_copy": ("a first load, of COPY's (fingerprints computed)", "-"),
        "unchanged_to_copy": ("unchanged, of COPY's rows per second", 10),
        "unchanged_hashing_to_copy": ("unchanged, of COPY's (fingerprints computed)", "-"),
        "changed_to_copy": ("5 % changed, of COPY's rows per second", 4),
        "unchanged_to_dlt": ("unchanged, of dlt's (fingerprints computed)", 20),
        "unchanged_to_per_row": ("unchanged, of the ORM's (fingerprints computed)", 100),
        "unchanged_to_upsert": ("unchanged, of batches of upserts (fingerprints computed)", "-"),
    }
    rows = [(words, aim, ratios[key]) for key, (words, aim) in aims.items() if key in ratios]
    head = (
        f"{found['rows']:,} rows over {found['accounts']:,} accounts, {found['turns']} turns, "
        f"upserts and dlt in {found['slow_turns']} of them.\n\n"
    )
    return f"{head}{table}\n{_table(('ratio', 'aim at least', 'measured'), rows)}"


def _parsing(found: Found) -> str:
    return _table(("per transaction", "us of CPU"), found["us_per_transaction"].items())


def _daily(found: Found) -> str:
    ways = found["ways"]
    names = {
        "batched": "Dagster runs of batches",
        "plain": "the same without Dagster",
        "single": "a Dagster run for each connection",
        "bare": "bare loop, answers thrown away",
        "bare_hashed": "bare loop, rows hashed and compared",
    }
    table = _table(
        ("way", "connections/s", "CPU, ms", "Postgres' CPU, ms", "the banks' CPU, ms", "peak, MB"),
        (
            (
                words,
                _count(ways[name]["per_second"]),
                _count(ways[name]["cpu_ms"]),
                _count(ways[name]["postgres_cpu_ms"]),
                _count(ways[name]["banks_cpu_ms"]),
                _count(ways[name]["peak_mb"]) if ways[name]["peak_mb"] else "",
            )
            for name, words in names.items()
        ),
    )
    total = found["total_cpu_ms"]
    parts = _table(
        ("of a connection's CPU in batches", "ms", "share"),
        (
            (part, _count(taken), f"{taken / total:.0%}")
            for part, taken in found["parts_cpu_ms"].items()
        ),
    )
    aims = _table(
        ("ratio", "aim", "measured"),
        (
            ("Dagster's share of the CPU", "at most 0.35", found["dagster_share"]),
            (
                f"the same, by the quarters of an hour of {found['target_connections']:,}",
                "",
                found["dagster_share_by_slots"],
            ),
            ("CPU, of the bare loop that hashes", "at most 2", found["times_bare"]),
            ("the same without Dagster", "", found["times_bare_without_dagster"]),
            ("connections/s, of a run for each", "at least 20", found["times_single"]),
        ),
    )
    head = (
        f"{found['connections']:,} connections in batches of {found['batch']}, {found['turns']} "
        f"turns; {found['calls_per_connection']} calls each. The start of a process takes "
        f"{found['process_start_s']} s of CPU, a link took "
        f"{_count(found['link_cpu_ms'])} ms of CPU, a first sync "
        f"{_count(found['first_sync_cpu_ms'])}.\n\n"
    )
    return f"{head}{table}\n{parts}\n{aims}"


def _growth(found: Found) -> str:
    rows = [
        (f"{int(count):,}", _count(one["cpu_ms"]), _count(one["database_mb"]))
        for count, one in found["stored"].items()
    ]
    table = _table(("stored connections", "CPU of a sync, ms", "database, MB"), rows)
    return f"{table}\nThe most cost {found['times']} times what the fewest do (aim: at most 1.2).\n"


def _history(found: Found) -> str:
    daily = _table(
        ("rows stored", "provider", "daily sync, s of CPU", "s", "peak, MB"),
        (
            (f"{int(rows):,}", provider, case["cpu_s"], case["clock_s"], case["peak_mb"])
            for rows, cases in found["daily"].items()
            for provider, case in cases.items()
        ),
    )
    first = _table(
        ("rows in a first load", "s of CPU", "s", "peak, MB", "bytes per row", "archive, per row"),
        (
            (
                f"{int(rows):,}",
                case["cpu_s"],
                case["clock_s"],
                case["peak_mb"],
                case["bytes_per_row"],
                case["archive_bytes_per_row"],
            )
            for rows, case in found["first"].items()
        ),
    )
    return f"{daily}\n{first}"


def _cost(found: Found) -> str:
    rows = [
        (
            provider,
            one["accounts_each"],
            one["least"],
            one["limited"],
            one["schedule_only"],
            one["with_webhooks"],
            one["midday"],
            ", ".join(
                f"{count:g} {name}" for name, count in one["operations_schedule_only"].items()
            ),
        )
        for provider, one in found["providers"].items()
    ]
    headings = (
        "provider", "accounts", "least possible", "limited or billed, by schedule alone",
        "all, by schedule alone", "all, with webhooks", "Midday, as documented",
        "what for, by schedule alone",
    )  # fmt: skip
    return f"{found['days']} days.\n\n{_table(headings, rows)}"


def _operating(found: Found) -> str:
    counts = list(found["ticks_s"])
    ticks = _table(
        ("tick of", *(f"{int(count):,} connections, s" for count in counts)),
        (
            (f"`{name}`", *(found["ticks_s"][count][name] for count in counts))
            for name in found["ticks_s"][counts[0]]
        ),
    )
    pages = _table(
        (f"page, {found['pages']:,} connections", "95 % within, s"), found["pages_p95_s"].items()
    )
    lanes = found["lanes"]
    if lanes is None:
        return f"{ticks}\n{pages}"
    beside = (
        f"A manual sync beside a batch of {lanes['connections']:,} takes {lanes['times_idle']} "
        f"times as long as alone (aim: at most 1.5); the batch took {lanes['batch_s']} s.\n"
    )
    return f"{ticks}\n{pages}\n{beside}"


def _scrape(found: Found) -> str:
    fresh = found["fresh_scrape_ms"]
    rows = [
        ("all figures, median", f"{found['load_s']['median']} s"),
        ("a scrape while they are fresh, median", f"{fresh['median']} ms"),
        ("a scrape while they are fresh, 95 % within", f"{fresh['p95']} ms"),
    ]
    return _table((f"{found['connections']:,} connections", ""), rows)


def _receiver(found: Found) -> str:
    rows = [
        (name, one["per_second"], one["p50_ms"], one["p99_ms"], one["longest_ms"])
        for name, one in found["servers"].items()
    ]
    table = _table(("", "webhooks/s", "median, ms", "99 %, ms", "longest, ms"), rows)
    accepted = found["servers"]["with a database"]["accepted"]
    return f"{table}\nLost of {accepted:,} acknowledged: {found['lost']}.\n"


def _webhooks(found: Found) -> str:
    rows = [
        (name, one["median_s"], one["p95_s"], round(max(one["seconds"]), 1))
        for name, one in found["setups"].items()
    ]
    return _table(
        (f"{found['events']} events each", "median, s", "95 % within, s", "longest, s"), rows
    )


TABLES: Final[Mapping[str, Callable[[Found], str]]] = {
    "write": _write,
    "parsing": _parsing,
    "daily": _daily,
    "growth": _growth,
    "history": _history,
    "cost": _cost,
    "operating": _operating,
    "scrape": _scrape,
    "receiver": _receiver,
    "webhooks": _webhooks,
}
