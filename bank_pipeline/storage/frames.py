"""The analysts' views as pandas frames, for notebooks. Imported by nothing else: pandas is slow."""

from datetime import date
from typing import Final, Literal

import pandas as pd
import sqlalchemy as sa

View = Literal["connections", "accounts", "balances", "transactions"]

_DATED: Final = {"balances": "(observed_at AT TIME ZONE 'UTC')::date", "transactions": "date"}
"""The day of a row, whatever zone the session lives by."""


def load_frame(
    db: sa.Connection, view: View, *, first: date | None = None, last: date | None = None
) -> pd.DataFrame:
    """
    Load one view of schema `analytics`; `first` and `last` (inclusive) bound the dated ones.

    The day of a balance is that in UTC in which it was seen.

    Amounts are `Decimal` objects and unknown ones None: a float column would round money and
    read unknown as NaN, which sums to something.

    Raises:
        ValueError: bounds on a view that has no dates.
    """
    day = _DATED.get(view)
    if day is None and (first or last):
        raise ValueError(f"{view} has no dates to bound")
    query = sa.select(sa.text("*")).select_from(sa.table(view, schema="analytics"))
    if day is not None:
        column = sa.literal_column(day, sa.Date)
        query = query.where(
            *([column >= first] if first else []), *([column <= last] if last else [])
        )
        query = query.order_by(column)
    result = db.execute(query)
    return pd.DataFrame(result.fetchall(), columns=pd.Index(result.keys()), dtype=object)
