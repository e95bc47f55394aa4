"""Why an inbound webhook was not believed, and when that is worth a person's look. Pure."""

from enum import StrEnum
from typing import Final


class Refusal(StrEnum):
    """
    Why a webhook was refused.

    UNSIGNED: no signature at all. MALFORMED: one that cannot be read. WRONG_ALGORITHM: signed in
    a way that the provider does not use. UNKNOWN_KEY: with a key that it does not vouch for.
    TOO_MANY_KEYS: so many unknown keys came that it was not asked. KEY_UNAVAILABLE: it could not
    be asked. TOO_BUSY: so many webhooks came at once that none was looked into. BAD_SIGNATURE:
    the signature does not hold. ALTERED_BODY: it is of another body. STALE, FROM_THE_FUTURE:
    signed at another time than now. TOO_LARGE, TOO_SLOW, BROKEN_OFF: the body was not read to
    its end. NOT_SET_UP: we have nothing to check it with.
    """

    UNSIGNED = "unsigned"
    MALFORMED = "malformed"
    WRONG_ALGORITHM = "wrong_algorithm"
    UNKNOWN_KEY = "unknown_key"
    TOO_MANY_KEYS = "too_many_keys"
    KEY_UNAVAILABLE = "key_unavailable"
    TOO_BUSY = "too_busy"
    BAD_SIGNATURE = "bad_signature"
    ALTERED_BODY = "altered_body"
    STALE = "stale"
    FROM_THE_FUTURE = "from_the_future"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    BROKEN_OFF = "broken_off"
    NOT_SET_UP = "not_set_up"


MANY: Final = 50
"""Refusals within an hour that are no accident: a provider's own rarely go astray."""


def is_many(counts: dict[Refusal, int]) -> bool:
    """
    Say whether an hour's refusals of one provider call for a person.

    What nobody can check is lost until a secret is set, so the first one counts.
    """
    return Refusal.NOT_SET_UP in counts or sum(counts.values()) >= MANY
