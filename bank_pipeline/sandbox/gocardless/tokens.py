"""
The company's tokens: JSON Web Tokens that live for a day or a month of virtual time.

Clients may decode `exp`, so they are real ones; what counts is whether they were given out here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import jwt

_KEY: Final = "a key that opens nothing but this simulator"


@dataclass(frozen=True)
class _Token:
    kind: str
    expires_at: datetime


class TokenBook:
    """Hold the tokens given out; any number is valid at once. Callers hold the state's lock."""

    def __init__(self) -> None:
        self._tokens: dict[str, _Token] = {}

    def issue(self, kind: str, life: timedelta, now: datetime, *, jti: str, owner: str) -> str:
        """Return a new `access` or `refresh` token of the company `owner`."""
        expires_at = now + life
        claims = {
            "token_type": kind,
            "exp": int(expires_at.timestamp()),
            "jti": jti.replace("-", ""),
            "id": 1,
            "secret_id": owner,
            "allowed_cidrs": ["0.0.0.0/0", "::/0"],
        }
        text = jwt.encode(claims, _KEY, "HS256")
        self._tokens[text] = _Token(kind, expires_at)
        return text

    def is_valid(self, text: str, kind: str, now: datetime) -> bool:
        """Whether this is a living token of the kind."""
        token = self._tokens.get(text)
        return token is not None and token.kind == kind and now < token.expires_at

    def expire(self, *, refresh: bool) -> int:
        """End all access tokens, and the refresh tokens too if so wished; return how many."""
        ended = [one for one, token in self._tokens.items() if refresh or token.kind == "access"]
        for one in ended:
            del self._tokens[one]
        return len(ended)
