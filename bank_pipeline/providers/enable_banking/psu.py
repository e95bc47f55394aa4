"""
What a bank may be told of a customer who is there right now. Pure.

These headers say that the customer is present, which lifts the bank's daily quota. They are
sent for somebody who is, all that the bank wants or none, and never with invented values.

Source: https://enablebanking.com/docs/api/reference/#get-account-balances
"""

import ipaddress
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from bank_pipeline.providers.answers import PresentUser
from bank_pipeline.providers.enable_banking.quirks import Quirks

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_ALWAYS: Final = ("psu-ip-address", "psu-user-agent")  # without them nobody is shown to be there


def to_psu_headers(
    user: PresentUser, required: Sequence[str] | None, quirks: Quirks
) -> Mapping[str, str]:
    """
    Return the headers for a present user; none when one that is required cannot be given.

    `required` is None when nobody knows what the bank requires.
    """
    if required is None or not quirks.takes_psu_headers:
        return NO_HEADERS
    known = _known(user)
    wanted = dict.fromkeys((*_ALWAYS, *(name.lower() for name in required)))
    stated = {name: known.get(name) for name in wanted}
    headers = {name.title(): value for name, value in stated.items() if value}
    return headers if len(headers) == len(wanted) else NO_HEADERS


def _known(user: PresentUser) -> Mapping[str, str | None]:
    values = {
        "psu-ip-address": user.ip_address if _is_address(user.ip_address) else None,
        "psu-user-agent": user.user_agent,
        "psu-referer": user.referer,
        "psu-accept": user.accept,
        "psu-accept-charset": user.accept_charset,
        "psu-accept-encoding": user.accept_encoding,
        "psu-accept-language": user.accept_language,
        "psu-geo-location": user.geo_location,
    }
    return {name: value if _is_sendable(value) else None for name, value in values.items()}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_sendable(value: str | None) -> bool:
    """Say whether a value may stand in a header: visible ASCII, and no line of its own."""
    return value is not None and value.isascii() and value.isprintable()
