"""
Begin, renew and end a connection through Plaid's hosted link.

Nothing here is archived: these answers carry tokens.

Source: https://plaid.com/docs/link/hosted-link/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import AccessRevokedError, PayloadError, SetupError
from bank_pipeline.providers.base import LinkedConnection, LinkProgress, LinkStart, LinkWidget
from bank_pipeline.providers.plaid.client import PlaidClient, parse_model
from bank_pipeline.providers.plaid.errors import to_word

SCRIPT_URL: Final = "https://cdn.plaid.com/link/v2/stable/link-initialize.js"
API_ORIGINS: Final = ("https://sandbox.plaid.com", "https://production.plaid.com")
_GONE: Final = frozenset({"ITEM_NOT_FOUND", "ITEM_CONCURRENTLY_DELETED"})


@dataclass(frozen=True)
class LinkSettings:
    """
    What the customer sees, and what is fixed for ever when the connection is made.

    `days_requested` (1 to 730) cannot be raised later. `redirect_uri` must be allow-listed
    in Plaid's dashboard; banks with OAuth need it. `is_embedded`: Link runs in a page of ours.
    """

    client_name: str
    language: str
    country_codes: tuple[str, ...]
    days_requested: int
    webhook_url: str | None
    redirect_uri: str | None
    is_embedded: bool = False


class _Schema(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _LinkToken(_Schema):
    link_token: SecretStr
    expiration: datetime
    hosted_link_url: str | None = None


class _Success(_Schema):
    public_token: SecretStr | None = None


class _Results(_Schema):
    item_add_results: list[_Success] | None = None


class _Exit(_Schema):
    error: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class _Session(_Schema):
    started_at: datetime | None = None
    finished_at: datetime | None = None
    on_success: _Success | None = None
    results: _Results | None = None
    exit: _Exit | None = None
    on_exit: _Exit | None = None


class _LinkState(_Schema):
    link_sessions: list[_Session] | None = None


class _Exchange(_Schema):
    access_token: SecretStr
    item_id: str


def start_link(
    client: PlaidClient,
    settings: LinkSettings,
    *,
    customer_reference: str,
    credential: SecretStr | None,
    return_url: str | None,
) -> LinkStart:
    """
    Begin a link; with a credential, begin update mode on that connection.

    Update mode keeps the credential and the connection's id.

    Raises:
        SetupError: Link runs in a page of ours, and none is named.

    Source: https://plaid.com/docs/api/link/#linktokencreate
    """
    if settings.is_embedded and return_url is None:
        raise SetupError("Plaid Link runs in a page of the gateway: set BANK_PIPELINE_GATEWAY_URL")
    operation = "link/token/create"
    answer = client.call(
        operation,
        lambda sdk: sdk.create_link_token(
            client_name=settings.client_name,
            language=settings.language,
            country_codes=settings.country_codes,
            client_user_id=customer_reference,
            access_token=credential,
            days_requested=settings.days_requested,
            webhook_url=settings.webhook_url,
            redirect_uri=settings.redirect_uri,
            completion_redirect_uri=None if settings.is_embedded else return_url,
            is_hosted=not settings.is_embedded,
        ),
    )
    token = parse_model(_LinkToken, answer)
    url = return_url if settings.is_embedded else token.hosted_link_url
    if not url:
        raise PayloadError(
            Provider.PLAID, operation, code="NO_HOSTED_URL", request_id=answer.raw.request_id
        )
    return LinkStart(
        url=url,
        external_state=token.link_token,
        expires_at=_to_utc(token.expiration),
    )


def to_widget(link_token: SecretStr, *, script_url: str) -> LinkWidget:
    """
    Return what `Plaid.create` takes, beside the callbacks.

    Source: https://plaid.com/docs/link/web/
    """
    origins = API_ORIGINS if script_url == SCRIPT_URL else ()
    given = {"token": link_token.get_secret_value()}
    return LinkWidget(Provider.PLAID, script_url, given, origins)


def to_progress(returned: Mapping[str, str]) -> LinkProgress:
    """
    Read what Link handed to our page: a token to exchange, or that the customer left.

    Source: https://plaid.com/docs/link/web/#onsuccess
    """
    token = returned.get("public_token")
    if token:
        return LinkProgress(is_finished=True, exchange_tokens=(SecretStr(token),))
    if "exit" in returned:
        return LinkProgress(
            is_finished=True, exit_reason=to_word(returned.get("failure")) or "left"
        )
    return LinkProgress(is_finished=False)


def fetch_link_progress(client: PlaidClient, link_token: SecretStr) -> LinkProgress:
    """
    Ask how far the customer has come; Plaid remembers for six hours after the end.

    After update mode there is nothing to exchange: tokens that still come are to be ignored.

    Source: https://plaid.com/docs/api/link/#linktokenget
    """
    answer = client.call("link/token/get", lambda sdk: sdk.get_link_token(link_token))
    sessions = parse_model(_LinkState, answer).link_sessions or []
    tokens = _public_tokens(sessions)
    is_over = bool(sessions) and all(session.finished_at for session in sessions)
    return LinkProgress(
        is_finished=bool(tokens) or is_over,
        exchange_tokens=tokens,
        exit_reason=_exit_reason(sessions) if is_over and not tokens else None,
    )


def complete_link(client: PlaidClient, public_token: SecretStr) -> LinkedConnection:
    """
    Exchange a finished link's token for a credential, once.

    It is one call and never repeated: the token works once, so a second try could only
    hide the first one's outcome. The institution is left to the first status: a second call
    here could lose a credential that nobody has stored yet.

    Source: https://plaid.com/docs/api/items/#itempublic_tokenexchange
    """
    answer = client.call(
        "item/public_token/exchange",
        lambda sdk: sdk.exchange_public_token(public_token),
        retries=False,
    )
    exchange = parse_model(_Exchange, answer)
    return LinkedConnection(
        external_id=exchange.item_id,
        credential=exchange.access_token,
        institution_external_id=None,
        institution_name=None,
    )


def disconnect(client: PlaidClient, credential: SecretStr) -> None:
    """
    End the connection, its token and its bill; succeed if Plaid has it no more.

    Source: https://plaid.com/docs/api/items/#itemremove
    """
    try:
        client.call("item/remove", lambda sdk: sdk.remove_item(credential))
    except AccessRevokedError as error:
        if error.code not in _GONE:
            raise


def _public_tokens(sessions: Sequence[_Session]) -> tuple[SecretStr, ...]:
    tokens: dict[SecretStr, None] = {}  # ordered, each once
    for session in sessions:
        successes = (session.results.item_add_results if session.results else None) or []
        if not successes and session.on_success:
            successes = [session.on_success]
        tokens |= {success.public_token: None for success in successes if success.public_token}
    return tuple(tokens)


def _exit_reason(sessions: Sequence[_Session]) -> str | None:
    epoch = datetime.min.replace(tzinfo=UTC)
    last = max(sessions, key=lambda session: _to_utc(session.started_at or epoch))
    left = last.exit or last.on_exit
    if left is None:
        return None
    code = to_word((left.error or {}).get("error_code"))
    return code or to_word((left.metadata or {}).get("status")) or "EXITED"


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
