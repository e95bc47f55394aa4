"""`bank-pipeline notify`: what teams are told, where it goes, and whether it arrives."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from pydantic import SecretStr

from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.notices import NoticeKind, NoticeState, parse_kinds
from bank_pipeline.errors import RefusedError
from bank_pipeline.storage.connections import load_team
from bank_pipeline.storage.notice_targets import list_targets, list_wishes
from bank_pipeline.storage.notices import list_notices
from bank_pipeline.sync.notice_targets import (
    add_target,
    change_wishes,
    remove_target,
    retry_given_up,
    try_targets,
)

app = typer.Typer(help="Notices: mail, chat and webhooks.", add_completion=False)
targets = typer.Typer(help="Where a team's notices go.", add_completion=False)
app.add_typer(targets, name="targets")

Team = Annotated[str, typer.Option(help="Whose notices.")]


@app.command("list")
def list_all(
    state: Annotated[NoticeState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many at most, the newest first.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """List notices: what was told, what waits, what did not arrive."""
    with open_services().sync.engine.connect() as db:
        rows = list_notices(db, state=state, limit=limit)
    print_rows(
        rows,
        {
            "team_name": "team",
            "kind": "kind",
            "institution_name": "institution",
            "state": "state",
            "created_at": "written (UTC)",
            "sent_at": "sent (UTC)",
            "next_attempt_at": "next try (UTC)",
            "attempts": "tries",
            "last_error": "last error",
        },
        title="notices",
        as_json=as_json,
    )


@app.command("test")
def send_test(
    team: Team = "default",
    target: Annotated[str | None, typer.Option(help="Only to the target of this name.")] = None,
    kind: Annotated[
        NoticeKind, typer.Option(help="Which kind of notice to send a made-up one of.")
    ] = NoticeKind.EXPIRING,
    as_json: AsJson = False,
) -> None:
    """Send a made-up notice to each target now, and say which of them took it."""
    services = open_services()
    rows = try_targets(
        services.sync, team, kind, target=target, renewal_url=services.settings.renewal_url
    )
    print_rows(
        rows,
        {"target": "target", "outcome": "outcome", "error": "error"},
        title=f"a made-up notice of {team!r}",
        as_json=as_json,
        nothing="no target; see `bank-pipeline notify targets add`",
    )
    if any(row.error is not None for row in rows):
        raise typer.Exit(1)


@app.command()
def retry() -> None:
    """Have notices that were given up sent after all, such as after an address was mended."""
    count = retry_given_up(open_services().sync)
    console.print(f"{count} notices will be tried again")


@app.command()
def preferences(
    team: Annotated[str | None, typer.Option(help="Show this team's, or change them.")] = None,
    kinds: Annotated[
        str | None,
        typer.Option(help="Kinds to be told of, comma-separated; `all`, `usual` or `none`."),
    ] = None,
    large: Annotated[
        list[str] | None,
        typer.Option(help="A row of this much is large: EUR=1000; EUR= for none. Repeatable."),
    ] = None,
    low: Annotated[
        list[str] | None,
        typer.Option(help="A balance below this is low: EUR=100; EUR= for none. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what teams are told of; with --team and what to change, change it."""
    changes = kinds is not None or large or low
    if changes and team is None:
        raise typer.BadParameter("say whose: --team NAME")
    context = open_services().sync
    if changes and team is not None:
        change_wishes(
            context,
            team,
            kinds=None if kinds is None else _to_kinds(kinds),
            large=_to_amounts(large or []),
            low=_to_amounts(low or []),
        )
    with context.engine.connect() as db:
        if team is not None:
            load_team(db, team)
        rows = [one for one in list_wishes(db) if team in (None, one.team_name)]
    print_rows(
        rows,
        {
            "team_name": "team",
            "kinds": "is told of",
            "large_amounts": "large from",
            "low_balances": "low below",
            "targets": "targets",
        },
        title="preferences",
        as_json=as_json,
        nothing="no team has chosen, or has a target",
    )


@targets.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What you call it, such as `mail`.")],
    team: Team = "default",
    url: Annotated[
        str | None,
        typer.Option(
            help="Its address in apprise's form. Better left out: it is asked for without echo, "
            "and then in no shell history."
        ),
    ] = None,
) -> None:
    """Add where a team's notices go; the address is stored encrypted and never shown again."""
    address = url or typer.prompt(
        "Address (mailto://..., slack://..., json://...)", hide_input=True
    )
    service = add_target(open_services().sync, team, name, SecretStr(address))
    console.print(f"{service}: added as {name!r}; see `bank-pipeline notify test`", markup=False)


@targets.command("list")
def list_all_targets(as_json: AsJson = False) -> None:
    """List where notices go, without the addresses."""
    with open_services().sync.engine.connect() as db:
        rows = list_targets(db)
    print_rows(
        rows,
        {"team_name": "team", "name": "name", "service": "service", "created_at": "added (UTC)"},
        title="targets",
        as_json=as_json,
    )


@targets.command("remove")
def remove(name: Annotated[str, typer.Argument(help="Its name.")], team: Team = "default") -> None:
    """Remove a target and forget its address."""
    remove_target(open_services().sync, team, name)
    console.print(f"removed {name!r}", markup=False)


def _to_kinds(text: str) -> str | frozenset[NoticeKind]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names in (["all"], ["usual"], ["none"]):
        return names[0]
    try:
        return parse_kinds(names)
    except ValueError as error:
        known = ", ".join(NoticeKind)
        raise RefusedError(f"{error}: kinds are {known}; or all, usual, none") from None


def _to_amounts(texts: list[str]) -> dict[str, Decimal | None]:
    """Read thresholds by currency; None takes one away."""
    amounts: dict[str, Decimal | None] = {}
    for text in texts:
        currency, _, number = text.partition("=")
        try:
            amount = Decimal(number) if number else None
        except InvalidOperation:
            amount = Decimal("NaN")
        if not currency.isalpha() or (amount is not None and not amount.is_finite()):
            raise RefusedError(f"{text!r}: say it as EUR=1000")
        amounts[currency.upper()] = amount
    return amounts
