"""
Cursors of `/transactions/sync`: opaque outside, a place in an Item's log inside. Pure.

Source: https://plaid.com/docs/api/products/transactions/#transactions-sync-request-cursor
"""

import base64
import hashlib
from dataclasses import dataclass

from bank_pipeline.sandbox.plaid.errors import plaid_error

_FIELDS = 5


@dataclass(frozen=True)
class Cursor:
    """
    A place in the log.

    With `offset` 0 all up to `end` has been read, and `start` is `end`, or 0 after a page of
    nothing, whose cursor is another one nevertheless. Otherwise a loop over
    the changes from `start` to `end` stands after `offset` of them. `account_id` is the filter
    the loop uses, empty for none.
    """

    start: int
    end: int
    offset: int = 0
    account_id: str = ""

    def encode(self, item_id: str) -> str:
        """Return the cursor's text, good for this Item only; at most 256 characters."""
        words = f"{self.start}:{self.end}:{self.offset}:{self.account_id}"
        return base64.b64encode(f"{_seal(item_id, words)}:{words}".encode()).decode()


def decode_cursor(text: str, item_id: str, account_id: str) -> Cursor:
    """Read a cursor; one of another Item, filter or making is an INVALID_FIELD."""
    try:
        words = base64.b64decode(text, validate=True).decode()
    except ValueError:
        words = ""
    seal, _, rest = words.partition(":")
    parts = rest.split(":")
    if seal != _seal(item_id, rest) or len(parts) != _FIELDS - 1 or parts[3] != account_id:
        raise rejected_cursor()
    return Cursor(int(parts[0]), int(parts[1]), int(parts[2]), parts[3])


def rejected_cursor() -> Exception:
    """Return the error for a cursor that is not the Item's."""
    return plaid_error("INVALID_FIELD", "cursor not associated with access_token")


def _seal(item_id: str, words: str) -> str:
    return hashlib.sha256(f"{item_id}\x1f{words}".encode()).hexdigest()[:20]
