"""Pages: how long, and where the next one begins."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import BaseModel

from bank_pipeline.gateway.problems import Problem
from bank_pipeline.storage.reading import Listing, PageOfRows, TeamRows

LIMIT_MAX: Final = 500

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows of a page at most.")]
Cursor = Annotated[
    str | None, Query(max_length=300, description="`next` of the page before; none begins.")
]


def read_page(
    rows: TeamRows, listing: Listing, *, limit: int, cursor: str | None, given: Mapping[str, Any]
) -> PageOfRows:
    """
    Load one page.

    Raises:
        Problem: 400, the cursor is none of this list.
    """
    try:
        after = None if cursor is None else _parse(cursor, listing)
        return rows.page(listing, limit=limit, after=after, given=given)
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "`cursor` is none of this list") from None


def answer_page(
    rows: TeamRows,
    listing: Listing,
    model: type[BaseModel],
    *,
    limit: int,
    cursor: str | None,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """
    Load one page and return it as it is sent: rows as documented, and what comes next.

    Raises:
        Problem: 400, the cursor is none of this list.
    """
    page = read_page(rows, listing, limit=limit, cursor=cursor, given=given)
    return {
        "items": [model.model_validate(dict(row)) for row in page.rows],
        "next": None if page.after is None else to_cursor(page.after),
    }


def to_cursor(after: Sequence[Any]) -> str:
    """Return the cursor of the page that begins after these values."""
    values = [one.isoformat() if isinstance(one, date | datetime) else one for one in after]
    plain = json.dumps([None if one is None else str(one) for one in values]).encode()
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


def _parse(cursor: str, listing: Listing) -> list[Any]:
    padded = cursor + "=" * (-len(cursor) % 4)
    values = json.loads(base64.urlsafe_b64decode(padded))  # raises kinds of ValueError
    is_ours = isinstance(values, list) and len(values) == len(listing.order)
    if not is_ours or any(not isinstance(one, str | None) for one in values):
        raise ValueError("no cursor of ours")
    return list(values)
