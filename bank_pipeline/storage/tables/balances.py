"""Which balances count, and whether they go with the rows."""

import sqlalchemy as sa

from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.roll_forward import DifferenceState
from bank_pipeline.storage.columns import (
    amount,
    day,
    iso,
    moment,
    numbered_part_of,
    one_of,
    part_of,
    team,
    text,
)
from bank_pipeline.storage.tables.base import metadata

balance_series = sa.Table(
    "balance_series",
    metadata,
    team(),
    *part_of("account_id", "accounts", is_key=True),
    sa.Column("provider_type", sa.Text, primary_key=True),
    sa.Column("currency_code", sa.Text, primary_key=True),
    *numbered_part_of("balance_id", "balances"),
    sa.Column("is_shown", sa.Boolean, nullable=False),
    comment="The newest snapshot of each type of balance in each currency ('': unknown). "
    "is_shown: the last whole answer about the account had it.",
)

balance_rules = sa.Table(
    "balance_rules",
    metadata,
    team(),
    *part_of("account_id", "accounts", is_key=True),
    text("booked_type"),
    text("available_type"),
    sa.Column("is_sign_flipped", sa.Boolean),
    sa.Column("is_limit_included", sa.Boolean),
    moment("updated_at", nullable=False),
    comment="What people decided on an account's balances. A sync reads it and never writes it.",
)

chosen_balances = sa.Table(
    "chosen_balances",
    metadata,
    team(),
    *part_of("account_id", "accounts", is_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    *numbered_part_of("balance_id", "balances"),
    amount("amount", nullable=False),
    sa.Column("is_derived", sa.Boolean, nullable=False),
    sa.Column("is_credit_limit_included", sa.Boolean),
    text("reason", nullable=False),
    moment("chosen_at", nullable=False),
    one_of("kind", BalanceKind),
    comment="What counts as booked, available and credit limit of an account, and why. Made "
    "from balance_series and balance_rules; can be made anew at any time.",
)

balance_checkpoints = sa.Table(
    "balance_checkpoints",
    metadata,
    team(),
    *part_of("account_id", "accounts", is_key=True),
    sa.Column("provider_type", sa.Text, primary_key=True),
    sa.Column("currency_code", sa.Text, primary_key=True),
    sa.Column("rows_from", sa.Date, nullable=False),
    amount("opening"),
    amount("seen_opening", nullable=False),
    moment("seen_since", nullable=False),
    amount("agreed_told"),
    day("agreed_day"),
    moment("agreed_at"),
    comment="Where the roll-forward of one series stands: the balance before rows_from that its "
    "rows imply (opening; NULL: not known for sure yet), and what the last checks implied.",
)

balance_checks = sa.Table(
    "balance_checks",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    team(),
    *part_of("account_id", "accounts", index=True),
    text("provider_type", nullable=False),
    text("currency"),
    text("unofficial_currency"),
    amount("expected", nullable=False),
    amount("told", nullable=False),
    amount("difference", nullable=False),
    amount("first_difference", nullable=False),
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    text("state", nullable=False),
    moment("from_at", nullable=False),
    moment("to_at", nullable=False),
    moment("opened_at", nullable=False),
    moment("confirmed_at"),
    moment("resolved_at"),
    one_of("state", DifferenceState),
    iso("currency"),
    comment="Differences between what a bank tells as booked and what its rows come to. "
    "difference: told less expected, what is left of first_difference by now.",
)
