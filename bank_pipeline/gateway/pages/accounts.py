"""Which accounts are read, and whether an account is one that was there before."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import NotFoundError, RefusedError
from bank_pipeline.gateway.auth import App
from bank_pipeline.gateway.forms import Form
from bank_pipeline.gateway.pages.connections import ACCOUNTS_MAX
from bank_pipeline.gateway.render import page
from bank_pipeline.gateway.visits import (
    AnyVisit,
    ChangedConnection,
    ChosenConnection,
    MemberWhoManages,
    rows_of,
)
from bank_pipeline.storage.account_questions import load_question
from bank_pipeline.storage.reading import ACCOUNTS, CONNECTIONS
from bank_pipeline.sync.account_choice import choose_accounts
from bank_pipeline.sync.questions import decide_question

router = APIRouter(include_in_schema=False)


@router.get("/connections/{connection_id}/accounts")
def show_choice(request: Request, visit: AnyVisit, own_id: ChosenConnection) -> Response:
    """Show the accounts that the bank shares, to choose those that are read."""
    return _show_choice(request, visit, own_id, error=None)


@router.post("/connections/{connection_id}/accounts")
def choose(
    request: Request, visit: AnyVisit, services: App, own_id: ChosenConnection, form: Form
) -> Response:
    """Read the chosen accounts, and none of the others."""
    form.check_sender(visit)
    chosen = [AccountId(one) for one in form.all("account")]
    shown = [AccountId(one) for one in form.all("shown")]
    try:
        choose_accounts(services.sync.by(visit.actor), own_id, chosen, shown=shown)
    except RefusedError as error:
        return _show_choice(request, visit, own_id, error=str(error))
    return RedirectResponse(f"/connections/{own_id}", HTTPStatus.SEE_OTHER)


@router.post("/connections/{connection_id}/questions/{question_id}")
def answer_question(
    request: Request,
    visit: MemberWhoManages,
    services: App,
    own_id: ChangedConnection,
    question_id: UUID,
    form: Form,
) -> Response:
    """Take a shown account for a known one, or for a new one."""
    form.check_sender(visit)
    with rows_of(request, visit).connect() as db:
        question = load_question(db, str(question_id), vault=services.sync.vault)
    if question.connection_id != own_id:
        raise NotFoundError("there is no such question")
    same_as = form.one("same_as")
    known = AccountId(same_as) if same_as != "new" else None
    decide_question(services.sync.by(visit.actor), question.id, same_as=known)
    return RedirectResponse(f"/connections/{own_id}", HTTPStatus.SEE_OTHER)


def _show_choice(
    request: Request, visit: AnyVisit, connection_id: ConnectionId, *, error: str | None
) -> Response:
    rows = rows_of(request, visit)
    found = rows.page(ACCOUNTS, limit=ACCOUNTS_MAX, given={"connection_id": connection_id}).rows
    return page(
        "accounts",
        visit=visit,
        status=200 if error is None else 422,
        title="Which accounts?",
        row=rows.one(CONNECTIONS, connection_id),
        accounts=[one for one in found if one["closed_at"] is None],
        error=error,
    )
