"""How commands print: a table for people, JSON for programs; never both."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bank_pipeline.domain.money import to_readable

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

WIDTH_MIN: Final = 120  # narrower, an id or an amount breaks over lines


def _build_console() -> Console:
    console = Console()
    return console if console.width >= WIDTH_MIN else Console(width=WIDTH_MIN)


console: Final = _build_console()

_NEVER_BROKEN: Final = frozenset(
    {
        *("id", "account_id", "connection", "connection_id", "twin_id", "sync_run_id"),
        *("provider", "status", "outcome", "verdict", "date"),
    }
)

_STYLES: Final = {
    "active": "green",
    "ok": "green",
    "identical": "green",
    "synced": "green",
    "done": "green",
    "on": "green",
    "pending": "cyan",
    "awaiting_initial": "cyan",
    "off": "dim",
    "busy": "cyan",
    "not asked": "dim",
    "expiring": "yellow",
    "warning": "yellow",
    "needs_reauth": "bold red",
    "revoked": "bold red",
    "error": "red",
    "failed": "red",
    "missing": "red",
    "DIFFERENT": "bold red",
}


def print_rows(
    rows: Sequence[Any],
    columns: Mapping[str, str],
    *,
    title: str,
    as_json: bool,
    nothing: str = "none",
) -> None:
    """
    Print rows (dataclasses or mappings): all fields as JSON, or the named columns as a table.

    `columns` maps field names to headings; a column without any value is left out of the
    table. `nothing` is said when there are no rows.
    """
    records = [_record(row) for row in rows]
    if as_json:
        print(_dump(records, _to_json))
        return
    if not records:
        console.print(f"[dim]{title}: {nothing}[/]")
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    shown = {f: h for f, h in columns.items() if any(record[f] is not None for record in records)}
    for field, heading in shown.items():
        is_number = any(isinstance(record[field], Decimal | int) for record in records)
        is_whole = is_number or field in _NEVER_BROKEN
        side: Literal["left", "right"] = "right" if is_number else "left"
        table.add_column(heading, justify=side, no_wrap=is_whole, overflow="fold")
    for record in records:
        table.add_row(*(_cell(record[field]) for field in shown))
    console.print(table)


def print_json(value: Any) -> None:  # noqa: ANN401 - results of use cases, in lists or alone
    """Print results as JSON, dataclasses within them, too."""
    print(_dump(value, _to_record))


def safe(text: str) -> str:
    """Take out what would command the terminal: a bank's text is not ours. Pure."""
    return "".join(c if c.isprintable() else " " for c in text)


def _dump(value: Any, default: Callable[[Any], Any]) -> str:  # noqa: ANN401
    """Return JSON; what standard output cannot show in its encoding is escaped, and not lost."""
    has_all = (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(value, default=default, ensure_ascii=not has_all, indent=2)


def _to_record(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return _to_json(value)


def _record(row: Any) -> dict[str, Any]:  # noqa: ANN401
    if is_dataclass(row) and not isinstance(row, type):
        return asdict(row)
    return dict(row)


def _cell(value: Any) -> Text:  # noqa: ANN401
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, Decimal):
        return Text(to_readable(value))
    if isinstance(value, datetime):
        return Text(f"{value:%Y-%m-%d %H:%M}")
    if isinstance(value, Mapping):
        return _cell([f"{name}={one}" for name, one in value.items()])
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Text(", ".join(safe(str(one)) for one in value)) if value else _cell(None)
    # A bank's text is not ours: it may look like markup, or command the terminal.
    text = safe(str(value))
    return Text(text, style=_STYLES.get(text, ""))


def _to_json(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Decimal):
        return str(value)  # a JSON number would pass through a float on the other side
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, frozenset | set):
        return sorted(value)
    return str(value)
