"""What a person in a browser may do: by a key of their team, or by a link they were sent. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator

from bank_pipeline.domain.access import KeyScope
from bank_pipeline.domain.audit import Actor, ActorKind
from bank_pipeline.domain.ids import ApiKeyId, ConnectionId, TeamId

CONNECT_FOR: Final = timedelta(days=7)
RENEW_FOR: Final = timedelta(days=30)
"""A notice may lie in a mailbox for weeks before somebody acts on it."""
SESSION_FOR: Final = timedelta(hours=12)
GUEST_FOR: Final = timedelta(hours=2)
"""Long enough for a bank's own pages; a link that was sent opens it anew."""


class LinkPurpose(StrEnum):
    """What a link that is sent to somebody opens."""

    CONNECT = "connect"
    RENEW = "renew"


class PageLink(BaseModel):
    """
    What a link that is sent to somebody stands for, sealed within it.

    RENEW names the connection whose consent is renewed; CONNECT none.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    team_id: TeamId
    purpose: LinkPurpose
    connection_id: ConnectionId | None
    expires_at: AwareDatetime

    @model_validator(mode="after")
    def _names_what_it_renews(self) -> Self:
        if (self.purpose is LinkPurpose.RENEW) != (self.connection_id is not None):
            raise ValueError("a renewal names its connection, and nothing else does")
        return self


class Visit(BaseModel):
    """
    Somebody's session in a browser, sealed in its cookie.

    `browser` is what only this browser knows, and `form_token` what its pages send along. By a
    key: `key_id` is asked for at each request, so that a revoked key ends the session. By a link:
    `link` says what it opens.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    team_id: TeamId
    browser: str
    form_token: str
    expires_at: AwareDatetime
    key_id: ApiKeyId | None = None
    scope: KeyScope | None = None
    link: PageLink | None = None

    def is_over(self, now: datetime) -> bool:
        """Say whether its time has passed."""
        return now >= self.expires_at

    @property
    def is_guest(self) -> bool:
        """Say whether they came by a link: they see what they connect, and nothing else."""
        return self.key_id is None

    @property
    def actor(self) -> Actor:
        """Whom the audit log names for what they do."""
        if self.key_id is not None:
            return Actor(ActorKind.API_KEY, self.key_id)
        return Actor(ActorKind.LINK, self.link.purpose.value if self.link else None)

    @property
    def may_manage(self) -> bool:
        """Say whether they may change whatever the team has."""
        return self.scope is KeyScope.MANAGE

    @property
    def may_connect(self) -> bool:
        """Say whether they may connect a bank of the team."""
        is_asked = self.link is not None and self.link.purpose is LinkPurpose.CONNECT
        return is_asked or self.may_manage

    @property
    def home(self) -> str:
        """The page where they begin."""
        if self.link is None:
            return "/connections"
        renewed = self.link.connection_id
        return "/connect" if renewed is None else f"/connections/{renewed}/reconnect"
