"""Links that are sent to people: sealed, of one purpose, and good for a while."""

from typing import Final

from pydantic import SecretStr, ValidationError

from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.domain.visits import CONNECT_FOR, RENEW_FOR, LinkPurpose, PageLink
from bank_pipeline.errors import NotFoundError, SecretError
from bank_pipeline.storage.seals import VaultSeal
from bank_pipeline.sync.context import SyncContext

PATH: Final = "/l/"
_NAME: Final = "page link"


def make_connect_link(context: SyncContext, team_id: TeamId, *, base_url: str) -> SecretStr:
    """Return the address of a page on which somebody connects a bank for a team."""
    expires_at = context.clock() + CONNECT_FOR
    link = PageLink(
        team_id=team_id, purpose=LinkPurpose.CONNECT, connection_id=None, expires_at=expires_at
    )
    return _to_url(context, link, base_url)


def make_renewal_link(
    context: SyncContext, team_id: TeamId, connection_id: ConnectionId, *, base_url: str
) -> SecretStr:
    """Return the address of a page on which somebody renews one connection's consent."""
    link = PageLink(
        team_id=team_id,
        purpose=LinkPurpose.RENEW,
        connection_id=connection_id,
        expires_at=context.clock() + RENEW_FOR,
    )
    return _to_url(context, link, base_url)


def open_page_link(context: SyncContext, token: str) -> PageLink:
    """
    Return what a link stands for.

    Raises:
        NotFoundError: it is none of ours, altered, or its time is over.
    """
    try:
        text = VaultSeal(context.vault, "gateway").open(token, _NAME).get_secret_value()
        link = PageLink.model_validate_json(text)
    except (SecretError, ValidationError):
        raise NotFoundError("the link is none of ours") from None
    if context.clock() >= link.expires_at:
        raise NotFoundError("the link's time is over")
    return link


def _to_url(context: SyncContext, link: PageLink, base_url: str) -> SecretStr:
    text = SecretStr(link.model_dump_json())
    token = VaultSeal(context.vault, "gateway").close(text, _NAME)
    return SecretStr(f"{base_url.rstrip('/')}{PATH}{token}")
