"""Renew a consent: what it is for, then on to the bank."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from bank_pipeline.domain.connection import Connection, ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.visits import Visit
from bank_pipeline.gateway.auth import App
from bank_pipeline.gateway.forms import Form
from bank_pipeline.gateway.pages.connect import begin_link, leave
from bank_pipeline.gateway.render import message_page, page
from bank_pipeline.gateway.visits import AnyVisit, ChangedConnection, rows_of
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.reading import CONNECTIONS

router = APIRouter(include_in_schema=False)

_ENDED: Final = {
    ConnectionStatus.DISCONNECTED: "This connection was ended. Connect the bank again instead.",
    ConnectionStatus.REVOKED: "The bank has withdrawn this consent for good. Connect it again.",
}


@router.get("/connections/{connection_id}/reconnect")
def show_reconnect(
    request: Request, visit: AnyVisit, services: App, own_id: ChangedConnection
) -> Response:
    """Say what a renewal does, and offer it."""
    connection = _load(request, visit, own_id)
    if connection.status in _ENDED:
        return _show_ended(visit, connection.status)
    client = services.sync.provider(connection.provider)
    row = rows_of(request, visit).one(CONNECTIONS, own_id)
    return page(
        "reconnect",
        visit=visit,
        title=f"Reconnect {connection.institution_name or 'your bank'}",
        row=row,
        is_new_consent=client.capabilities.is_renewed_by_new_connection,
    )


@router.post("/connections/{connection_id}/reconnect")
def reconnect(
    request: Request, visit: AnyVisit, services: App, own_id: ChangedConnection, form: Form
) -> Response:
    """Begin the renewal, and send the customer to their bank."""
    form.check_sender(visit)
    connection = _load(request, visit, own_id)
    if connection.status in _ENDED:
        return _show_ended(visit, connection.status)
    started = begin_link(request, visit, services, connection.provider, renews=own_id)
    return leave(visit, started, connection.provider)


def _show_ended(visit: Visit, status: ConnectionStatus) -> Response:
    onward = ("/connect", "Connect a bank") if visit.may_connect else None
    text = _ENDED[status]
    return message_page("Not renewable", text, status=409, visit=visit, onward=onward)


def _load(request: Request, visit: Visit, connection_id: ConnectionId) -> Connection:
    with rows_of(request, visit).connect() as db:
        return load_connection(db, connection_id)
