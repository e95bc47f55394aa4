"""What programs may change through `/api/v1`: link, sync, renew, choose accounts, disconnect."""

from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import AccountId, ConnectionId, LinkSessionId
from bank_pipeline.domain.institution import CustomerKind
from bank_pipeline.gateway.api.models import ConnectionRow
from bank_pipeline.gateway.auth import App, Manager, Rows
from bank_pipeline.gateway.pages.live import OneStream, watch
from bank_pipeline.gateway.problems import Problem
from bank_pipeline.gateway.visits import base_url
from bank_pipeline.storage.connections import load_open_connections
from bank_pipeline.storage.link_sessions import check_link_of
from bank_pipeline.storage.reading import CONNECTIONS
from bank_pipeline.sync.account_choice import choose_accounts
from bank_pipeline.sync.asking import ask_for_sync
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.link import complete_link, start_link
from bank_pipeline.sync.page_links import make_connect_link, make_renewal_link

router = APIRouter(tags=["actions"])

_ID_MAX: Final = 200
_ACCOUNTS_MAX: Final = 1_000


class LinkOrder(BaseModel):
    """What to link, or which connection to renew."""

    model_config = ConfigDict(extra="forbid")

    provider: Provider
    institution: str | None = Field(
        None,
        max_length=_ID_MAX,
        pattern=r"^[^\x00-\x1f]*$",
        description="`external_id` of the bank, where the provider wants it chosen first.",
    )
    renews: UUID | None = Field(None, description="Connection whose consent to renew.")
    is_other_login: bool = Field(
        default=False, description="Another login at a bank that is connected already."
    )
    customer_kind: CustomerKind | None = Field(
        None,
        description="Whose login it is, at Enable Banking's banks that have more than one of the "
        "bank's `customer_kinds`; of a renewal as before, else a person's.",
    )


class StartedLink(BaseModel):
    """Send the customer to `url` before `expires_at`; the address opens the link."""

    link_id: UUID
    url: str
    expires_at: datetime


class LinkProgressRow(BaseModel):
    """How a link stands. Finished with an `exit_reason`: the customer left."""

    is_finished: bool
    exit_reason: str | None
    connection_ids: list[UUID]
    renewed_ids: list[UUID]
    questions_count: int


class PageLinkOrder(BaseModel):
    """What the page is for: renew a connection, or else connect a bank."""

    model_config = ConfigDict(extra="forbid")

    renews: UUID | None = Field(None, description="Connection whose consent is renewed there.")


class MadePageLink(BaseModel):
    """The address of a page of ours that somebody may be sent to; it opens nothing else."""

    url: str


class RequestedSync(BaseModel):
    """A sync was asked for; it starts within seconds."""

    connection_id: UUID
    calls_left: int | None = Field(
        description="Calls that the bank still answers today, where it counts them."
    )


class AccountChoice(BaseModel):
    """The accounts that are read from now on."""

    model_config = ConfigDict(extra="forbid")

    account_ids: Annotated[list[UUID], Field(min_length=1, max_length=_ACCOUNTS_MAX)]


class EndedConnection(BaseModel):
    """How far the end of a connection has come; what is not ended yet is tried until it is."""

    is_ended: bool
    is_erased: bool
    reason: str | None
    next_attempt_at: datetime | None


def _own(rows: Rows, connection_id: UUID) -> ConnectionId:
    """Return the id of a connection of the team; anybody else's is as if there were none."""
    row = rows.one(CONNECTIONS, str(connection_id))
    return ConnectionId(str(row["connection_id"]))


OwnConnection = Annotated[ConnectionId, Depends(_own)]
"""A connection of the team whose key was sent."""


def _check_not_linked(rows: Rows, asked: LinkOrder) -> None:
    if asked.institution is None:
        return
    with rows.connect() as db:
        known = load_open_connections(db, rows.team_id, asked.provider, asked.institution)
    if known:
        raise Problem(
            HTTPStatus.CONFLICT,
            "this bank is connected already: renew that connection, or say `is_other_login`",
            connection_ids=[one.id for one in known],
        )


@router.post("/links", status_code=HTTPStatus.CREATED)
def begin_link(
    request: Request, rows: Rows, by: Manager, services: App, asked: LinkOrder
) -> StartedLink:
    """Begin a link; the customer goes to its address, and `GET /links/{link_id}` tells the rest."""
    if asked.renews is not None:
        rows.one(CONNECTIONS, str(asked.renews))
    elif not asked.is_other_login:
        _check_not_linked(rows, asked)
    can = services.sync.provider(asked.provider).capabilities
    widget = f"{base_url(request)}/link/widget/{asked.provider}"
    started = start_link(
        services.sync.by(by.actor),
        asked.provider,
        team_name=rows.team_name(),
        institution=asked.institution,
        renews=None if asked.renews is None else ConnectionId(str(asked.renews)),
        return_url=widget if can.is_linked_on_our_page else None,
        is_other_login=asked.is_other_login,
        customer_kind=asked.customer_kind,
    )
    return StartedLink(
        link_id=UUID(started.session_id), url=started.url, expires_at=started.expires_at
    )


@router.get("/links/{link_id}")
def read_link(rows: Rows, by: Manager, services: App, link_id: UUID) -> LinkProgressRow:
    """Ask how far the customer has come; what the link yields is kept at once."""
    own_id = LinkSessionId(str(link_id))
    with services.sync.engine.connect() as db:
        check_link_of(db, own_id, rows.team_id)
    state = complete_link(services.sync.by(by.actor), own_id)
    return LinkProgressRow.model_validate(state, from_attributes=True)


@router.post("/page-links", status_code=HTTPStatus.CREATED)
def make_page_link(
    request: Request, rows: Rows, _: Manager, services: App, asked: PageLinkOrder
) -> MadePageLink:
    """Make an address to send to somebody who connects a bank, or renews one, on our pages."""
    base = base_url(request)
    if asked.renews is None:
        url = make_connect_link(services.sync, rows.team_id, base_url=base)
    else:
        own_id = _own(rows, asked.renews)
        url = make_renewal_link(services.sync, rows.team_id, own_id, base_url=base)
    return MadePageLink(url=url.get_secret_value())


@router.post("/connections/{connection_id}/sync", status_code=HTTPStatus.ACCEPTED)
def request_sync(_: Manager, services: App, own_id: OwnConnection) -> RequestedSync:
    """Ask for a sync now. 409 says why not, and in `next_at` when, where a time helps."""
    asking = ask_for_sync(services.sync, own_id)
    return RequestedSync(connection_id=UUID(own_id), calls_left=asking.calls_left)


@router.put("/connections/{connection_id}/accounts", status_code=HTTPStatus.NO_CONTENT)
def set_accounts(by: Manager, services: App, own_id: OwnConnection, asked: AccountChoice) -> None:
    """Read these accounts of a connection and none of its others; what is stored stays."""
    chosen = [AccountId(str(one)) for one in asked.account_ids]
    choose_accounts(services.sync.by(by.actor), own_id, chosen)


@router.delete("/connections/{connection_id}")
def end_connection(
    by: Manager, services: App, own_id: OwnConnection, *, erase: bool = False
) -> EndedConnection:
    """End a connection at its provider; rows stay, unless they are to be erased."""
    report = disconnect(services.sync.by(by.actor), own_id, erase=erase)
    return EndedConnection.model_validate(report, from_attributes=True)


@router.get(
    "/connections/{connection_id}/events",
    response_class=EventSourceResponse,
    responses={503: {"description": "Too many follow already."}},
)
async def follow_connection(
    rows: Rows, services: App, own_id: OwnConnection, streams: OneStream
) -> AsyncIterator[ServerSentEvent]:
    """
    Send the connection now, and again whenever it has changed (server-sent events).

    Ends after a minute; ask again, as browsers do by themselves.
    """

    def load() -> ConnectionRow:
        return ConnectionRow.model_validate(rows.one(CONNECTIONS, own_id))

    async for number, row in watch(rows, services, own_id, streams, load):
        yield ServerSentEvent(data=row, id=str(number))
