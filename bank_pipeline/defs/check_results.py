"""How every check tells what it found: how many, where, and what to do; ids, never texts."""

from datetime import date, datetime
from typing import Final

import dagster as dg

from bank_pipeline.defs.metadata import Table, to_metadata
from bank_pipeline.storage.findings import Cell, Findings

SHOWN_MAX: Final = 200  # rows of a table in the UI; the command that is named lists them all

LATE_OR_WRONG: Final = dg.AssetCheckSeverity.ERROR
"""Somebody who reads the tables now reads less, or other, than the bank told."""
A_PERSON_LOOKS: Final = dg.AssetCheckSeverity.WARN
"""The tables are what the bank told, but somebody has to decide or to ask."""


def to_result(
    findings: Findings, *, what: str, to_do: str, severity: dg.AssetCheckSeverity
) -> dg.AssetCheckResult:
    """
    Make a check's result: passed when nothing was found.

    `what` names the things in the plural, `to_do` says what the operator does about them.
    """
    if not findings.found:
        return dg.AssetCheckResult(passed=True, description="Nothing found.")
    where = "one connection" if findings.connections == 1 else f"{findings.connections} connections"
    return dg.AssetCheckResult(
        passed=False,
        severity=severity,
        description=f"{what}: {findings.found}, at {where}. {to_do}",
        metadata=to_metadata(
            found=findings.found,
            connections=findings.connections,
            findings=_to_table(findings.rows),
        ),
    )


def _to_table(rows: tuple[dict[str, Cell], ...]) -> Table:
    columns = [dg.TableColumn(name, _type_of(name, rows)) for name in rows[0]]
    records = [dg.TableRecord({name: _to_cell(row[name]) for name in row}) for row in rows]
    return Table(records, dg.TableSchema(columns=columns))


def _type_of(name: str, rows: tuple[dict[str, Cell], ...]) -> str:
    return "int" if all(isinstance(row[name], int) for row in rows) else "string"


def _to_cell(value: Cell) -> str | int:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"  # UTC, as all times of ours
    return value.isoformat() if isinstance(value, date) else value
