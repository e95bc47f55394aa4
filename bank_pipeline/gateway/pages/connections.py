"""The team's connections: all at a glance, and each with what to do about it."""

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.visits import Visit
from bank_pipeline.errors import NotNowError
from bank_pipeline.gateway.api.paging import read_page, to_cursor
from bank_pipeline.gateway.auth import App
from bank_pipeline.gateway.forms import Form
from bank_pipeline.gateway.render import fragment, message_page, page
from bank_pipeline.gateway.visits import (
    AnyVisit,
    ChangedConnection,
    Member,
    MemberWhoManages,
    SeenConnection,
    is_linked_here,
    rows_of,
)
from bank_pipeline.storage.account_questions import list_questions
from bank_pipeline.storage.connection_page import (
    list_status_events,
    load_account_spans,
    load_spans,
)
from bank_pipeline.storage.reading import ACCOUNTS, CONNECTIONS, SYNC_RUNS
from bank_pipeline.sync.asking import ask_for_sync, may_ask
from bank_pipeline.sync.disconnect import disconnect

router = APIRouter(include_in_schema=False)

PAGE_ROWS: Final = 100
RUNS: Final = 10
ACCOUNTS_MAX: Final = 200


@router.get("/connections")
def list_connections(
    request: Request,
    visit: Member,
    status: ConnectionStatus | Literal[""] = "",
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> Response:
    """Show the team's connections."""
    rows = rows_of(request, visit)
    given = {"status": status or None}
    found = read_page(rows, CONNECTIONS, limit=PAGE_ROWS, cursor=cursor, given=given)
    ids = [str(row["connection_id"]) for row in found.rows]
    with rows.connect() as db:
        spans = load_spans(db, visit.team_id, ids)
    return page(
        "connections",
        visit=visit,
        title="Connections",
        team=rows.team_name(),
        rows=found.rows,
        spans=spans,
        chosen=status or None,
        statuses=[*ConnectionStatus],
        next=None if found.after is None else to_cursor(found.after),
    )


@router.get("/connections/{connection_id}")
def show_connection(
    request: Request, visit: AnyVisit, services: App, own_id: SeenConnection
) -> Response:
    """Show one connection; the page follows what happens to it."""
    facts = load_facts(request, visit, services, own_id)
    return page(
        "connection", visit=visit, title=facts["row"]["institution_name"] or "Bank", **facts
    )


@router.post("/connections/{connection_id}/sync")
def sync_now(visit: AnyVisit, services: App, own_id: ChangedConnection, form: Form) -> Response:
    """Ask for a sync, or say why not and when."""
    form.check_sender(visit)
    try:
        ask_for_sync(services.sync, own_id)
    except NotNowError as error:
        when = f" Next possible: {error.next_at:%Y-%m-%d %H:%M} UTC." if error.next_at else ""
        onward = f"/connections/{own_id}", "Back to the connection"
        text = f"Not synced now: {error}.{when}"
        return message_page("Not now", text, status=409, visit=visit, onward=onward)
    return RedirectResponse(f"/connections/{own_id}", HTTPStatus.SEE_OTHER)


@router.get("/connections/{connection_id}/disconnect")
def confirm_disconnect(
    request: Request, visit: MemberWhoManages, own_id: ChangedConnection
) -> Response:
    """Ask whether the connection is really to end."""
    row = rows_of(request, visit).one(CONNECTIONS, own_id)
    return page("disconnect", visit=visit, title="Disconnect this bank?", row=row)


@router.post("/connections/{connection_id}/disconnect")
def end_connection(
    visit: MemberWhoManages, services: App, own_id: ChangedConnection, form: Form
) -> Response:
    """End the connection at its provider; what is stored stays, unless it is to be erased."""
    form.check_sender(visit)
    report = disconnect(services.sync.by(visit.actor), own_id, erase=form.one("erase") == "yes")
    if report.is_erased:
        onward = "/connections", "All connections"
        text = "The consent is ended, and all that was stored of it is erased."
        return message_page("Disconnected", text, visit=visit, onward=onward)
    return RedirectResponse(f"/connections/{own_id}", HTTPStatus.SEE_OTHER)


def load_facts(
    request: Request, visit: Visit, services: Services, connection_id: ConnectionId
) -> dict[str, Any]:
    """Load what the page about one connection shows, to whoever may see it."""
    rows = rows_of(request, visit)
    given = {"connection_id": connection_id}
    with rows.connect() as db:
        questions = list_questions(db, connection_id=connection_id)
        spans = load_account_spans(db, connection_id)
        events = list_status_events(db, connection_id)
    return {
        "row": rows.one(CONNECTIONS, connection_id),
        "accounts": rows.page(ACCOUNTS, limit=ACCOUNTS_MAX, given=given).rows,
        "runs": rows.page(SYNC_RUNS, limit=RUNS, given=given).rows,
        "asking": may_ask(services.sync, connection_id),
        "questions": questions,
        "spans": spans,
        "events": events,
        "may_change": visit.is_guest or visit.may_manage,
        "may_decide": visit.may_manage,
        "may_choose": visit.may_manage or is_linked_here(services, visit, connection_id),
    }


def render_live(facts: dict[str, Any], visit: Visit) -> str:
    """Return the part of a connection's page that changes by itself."""
    return fragment("connection_live", visit=visit, **facts)
