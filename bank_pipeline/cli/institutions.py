"""`bank-pipeline institutions`: which banks can be linked, and under which id."""

from contextlib import nullcontext
from typing import Annotated, Any, Final

import typer

from bank_pipeline.bootstrap import Services
from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import BankPipelineError, SetupError
from bank_pipeline.storage.institution_search import FoundInstitution, search_institutions
from bank_pipeline.sync.institutions import sync_institutions

COUNTRIES_SHOWN: Final = 4  # some banks are in all thirty of the European Economic Area

app = typer.Typer(help="The banks that can be linked.", no_args_is_help=True)


@app.command()
def search(
    text: Annotated[
        str, typer.Argument(help="Words of its name, its BIC or its id; accents do not matter.")
    ],
    country: Annotated[
        str | None, typer.Option(help="Two letters, such as DE: banks of this country only.")
    ] = None,
    provider: Annotated[Provider | None, typer.Option(help="Banks of this provider only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Banks at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Find a bank, and the id under which `link --institution` takes it."""
    if country is not None and not (len(country) == 2 and country.isalpha()):  # noqa: PLR2004
        raise typer.BadParameter("a country is two letters, such as DE or GB")
    services = open_services()
    with services.sync.engine.connect() as db:
        found = search_institutions(
            db,
            text,
            country=None if country is None else country.upper(),
            providers=None if provider is None else [provider],
            limit=limit,
        )
    print_rows(
        found if as_json else [_to_row(one) for one in found],
        {
            "name": "name",
            "countries": "country",
            "provider": "provider",
            "id": "id",
            "history_days": "history (days)",
            "consent_days": "consent (days)",
        },
        title="institutions",
        as_json=as_json,
        nothing="none that is known; `bank-pipeline institutions sync` reads the banks anew",
    )


@app.command()
def sync(
    provider: Annotated[
        Provider | None, typer.Argument(help="One provider; without it, all that are configured.")
    ] = None,
    accept_removals: Annotated[
        bool,
        typer.Option("--accept-removals", help="Believe a list that lacks most of the banks."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read which banks the providers offer, now; Dagster does it every day."""
    services = open_services()
    chosen = sorted(services.sync.providers) if provider is None else [provider]
    if not chosen:
        raise SetupError("no provider is configured; `bank-pipeline doctor` says what to set")
    results = []
    for one in chosen:
        with nullcontext() if as_json else console.status(f"reading the banks of {one} …"):
            results.append(_sync_one(services, one, accept_removals=accept_removals))
    print_rows(
        results,
        {
            "provider": "provider",
            "outcome": "outcome",
            "offered": "banks",
            "inserted": "new",
            "updated": "changed",
            "removed": "removed",
            "unchanged": "unchanged",
            "unreadable_count": "unreadable",
            "reason": "reason",
        },
        title="institutions",
        as_json=as_json,
    )
    if any(result["outcome"] == "failed" for result in results):
        raise typer.Exit(1)


def _sync_one(services: Services, provider: Provider, *, accept_removals: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"provider": provider.value, "outcome": "failed", "reason": None}
    counts = ("offered", "inserted", "updated", "removed", "unchanged", "unreadable_count")
    try:
        report = sync_institutions(services.sync, provider, accept_removals=accept_removals)
    except BankPipelineError as error:
        return {**row, **dict.fromkeys(counts), "unreadable": {}, "reason": str(error)}
    first = next(iter(report.unreadable), None)
    return {
        **row,
        "outcome": "synced",
        **{name: getattr(report, name) for name in counts},
        "unreadable": dict(report.unreadable),
        "reason": first and f"unreadable: {first}",
    }


def _to_row(found: FoundInstitution) -> dict[str, Any]:
    more = len(found.countries) - COUNTRIES_SHOWN
    countries = " ".join(found.countries[:COUNTRIES_SHOWN]) + (f" +{more}" if more > 0 else "")
    return {
        "name": found.name,
        "countries": countries,
        "provider": found.provider.value,
        "id": found.external_id,
        "history_days": found.history_days,
        "consent_days": found.consent_days,
    }
