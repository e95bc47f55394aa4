"""Accounts whose rows go by other names now: after a new consent, or with another provider."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from bank_pipeline.domain.connection import Connection
from bank_pipeline.storage.accounts import HeldAccount

A_DAY: Final = timedelta(days=1)


def slack_of(held: Mapping[str, HeldAccount], connection: Connection) -> dict[str, timedelta]:
    """
    Return the accounts that have moved, and by how much the dates of their rows may differ.

    Of one bank two providers may give dates that are a day apart; one provider does not.
    """
    return {
        name: timedelta(0) if one.moved_from is connection.provider else A_DAY
        for name, one in held.items()
        if one.moved_from is not None
    }
