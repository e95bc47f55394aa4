"""
From the bytes of an answer to JSON and to a schema. Pure.

Every error names the operation and the fields that do not fit, never a value.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import PayloadError, TransientError
from bank_pipeline.providers.answers import RawAnswer
from bank_pipeline.providers.exact_json import decode_keeping_all, parse_json
from bank_pipeline.providers.rows import to_reason

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class JsonAnswer:
    """A success: as it came, and parsed with exact numbers."""

    raw: RawAnswer
    body: Any


def to_digest(body: bytes) -> bytes:
    """Hash a body, so that the same answer twice is stored once."""
    return hashlib.blake2b(body, digest_size=16).digest()


def to_raw(operation: str, body: bytes, *, request_id: str | None = None) -> RawAnswer:
    """Return an answer as it is archived, of providers whose bodies hold no request id."""
    return RawAnswer(operation, body, to_digest(body), request_id)


def to_json(provider: Provider, operation: str, body: bytes) -> Any:  # noqa: ANN401 - JSON enters
    """
    Parse the body of a success with exact numbers.

    Bytes that are not UTF-8 spoil the text they are in and no more: see `rows.Rows`.

    Raises:
        TransientError: not JSON at all: some proxy's page, or a broken connection.
        PayloadError: JSON with NaN and the like in it.
    """
    try:
        return parse_json(decode_keeping_all(body))
    except json.JSONDecodeError:
        raise TransientError(provider, operation, code="NOT_JSON") from None
    except ValueError:  # NaN, Infinity, a number of 5,000 digits, a thousand brackets
        raise PayloadError(provider, operation, code="NOT_PLAIN_JSON") from None


def parse_model(
    provider: Provider,
    operation: str,
    model: type[_Model],
    body: Any,  # noqa: ANN401 - parsed JSON
    *,
    request_id: str | None = None,
) -> _Model:
    """
    Read an envelope.

    Raises:
        PayloadError: its code names the fields that do not fit, never their values.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        code = f"SHAPE {to_reason(error)}"
        raise PayloadError(provider, operation, code=code, request_id=request_id) from None
