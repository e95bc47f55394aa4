"""How far the erasure of a team has come, and what it leaves behind. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ErasureState(StrEnum):
    """
    What is done next; each step may be repeated.

    CONSENTS: the provider ends them, then each connection's rows go. CACHES: what is remembered
    of providers' answers. TRACES: Dagster's partitions, runs, events and step logs. ROWS: the
    rest, and the team itself. SAMPLES: values that the server keeps of columns to plan queries.
    """

    CONSENTS = "consents"
    CACHES = "caches"
    TRACES = "traces"
    ROWS = "rows"
    SAMPLES = "samples"
    DONE = "done"


@dataclass(frozen=True)
class Remainder:
    """Something that an erasure leaves: where, what, and until when."""

    place: str
    what: str
    until: str


REMAINDERS: Final = (
    Remainder(
        "bank.audit_log, bank.audit_seals",
        "that somebody linked, synced and erased it: ids and counts, no names",
        "for good",
    ),
    Remainder(
        "bank.erasures", "ids of the team and its connections, and what was deleted", "for good"
    ),
    Remainder(
        "bank.provider_calls",
        "calls of links: operation, time, status; no connection, no account",
        "7 days",
    ),
    Remainder(
        "bank.consents_to_end",
        "consents of links not finished in time, without a name, until the provider has ended them",
        "BANK_PIPELINE_RAW_RETENTION_DAYS after their end",
    ),
    Remainder(
        "dagster.runs, dagster.bulk_actions, step logs, job_ticks",
        "ids of connections in runs, backfills and ticks that several connections share",
        "BANK_PIPELINE_RUN_RETENTION_DAYS and BANK_PIPELINE_EVENT_RETENTION_DAYS",
    ),
    Remainder(
        "the cache",
        "dates on which accounts at GoCardless were refused, under digests of ids erased elsewhere",
        "100 days",
    ),
    Remainder(
        "lines that processes wrote to their standard output",
        "ids of connections",
        "your log collector's retention",
    ),
    Remainder(
        "the log of a PostgreSQL of your own",
        "values of keys in lines about errors, unless log_error_verbosity is terse",
        "your retention of its log",
    ),
    Remainder(
        "backups, WAL and replicas of the database",
        "everything as it was",
        "your retention of backups; a restore brings it back: erase again",
    ),
    Remainder(
        "pages of the database's files, not readable by SQL",
        "deleted rows",
        "until autovacuum has passed and the space is used again",
    ),
)
"""All that is left, for the operator to read and for a test to hold the erasure to."""
