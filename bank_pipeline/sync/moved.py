"""Accounts whose rows go by other names now: after a new consent, or with another provider."""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection
from bank_pipeline.storage.accounts import load_moved

A_DAY: Final = timedelta(days=1)


def load_slack(db: sa.Connection, connection: Connection) -> dict[str, timedelta]:
    """
    Load the accounts that have moved, and by how much the dates of their rows may differ.

    Of one bank two providers may give dates that are a day apart; one provider does not.
    """
    return {
        name: timedelta(0) if provider is connection.provider else A_DAY
        for name, provider in load_moved(db, connection.id).items()
    }
