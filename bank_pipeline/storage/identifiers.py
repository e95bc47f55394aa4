"""Mint our own identifiers."""

import uuid_utils


def new_id() -> str:
    """
    Mint a UUIDv7 in canonical text.

    Ordered by time within a process, so that indexes grow at one end. The time in it is the
    machine's own clock, never a virtual one: it orders, it does not date.
    """
    return str(uuid_utils.uuid7())
