"""Which program asks, and whether it may: a key of one team in the header `Authorization`."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.access import KeyScope, Principal
from bank_pipeline.gateway.problems import Problem
from bank_pipeline.storage.api_keys import authenticate
from bank_pipeline.storage.reading import TeamRows

_bearer: Final = HTTPBearer(
    auto_error=False, description="A key that `bank-pipeline api-keys create` made."
)


def services_of(request: Request) -> Services:
    """Return what the application was built with."""
    services: Services = request.app.state.services
    return services


def _principal(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """
    Return whose key was sent.

    Raises:
        Problem: 401, the same whether there is none, it is unknown, wrong or revoked.
    """
    sync = services_of(request).sync
    if given is not None:
        token = SecretStr(given.credentials)
        principal = authenticate(sync.engine, token, now=sync.clock())
        if principal is not None:
            return principal
    raise Problem(
        HTTPStatus.UNAUTHORIZED,
        "send a valid key: Authorization: Bearer bpk_…",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _requires(scope: KeyScope) -> Callable[[Principal], Principal]:
    def check(principal: Annotated[Principal, Depends(_principal)]) -> Principal:
        if not principal.may(scope):
            raise Problem(HTTPStatus.FORBIDDEN, f"this key is for {principal.scope} only")
        return principal

    return check


Reader = Annotated[Principal, Depends(_requires(KeyScope.READ))]
"""Whoever may look."""

Manager = Annotated[Principal, Depends(_requires(KeyScope.MANAGE))]
"""Whoever may change."""


def _rows(request: Request, reader: Reader) -> TeamRows:
    return TeamRows(services_of(request).sync.engine, reader.team_id)


Rows = Annotated[TeamRows, Depends(_rows)]
"""The rows of the team whose key was sent."""

App = Annotated[Services, Depends(services_of)]
"""What the application was built with."""
