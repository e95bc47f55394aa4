"""
From the answer of the balances endpoint to balances. Pure.

Source: https://teller.io/docs/api/account/balances
"""

from collections.abc import Mapping
from typing import Any, Final

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance
from bank_pipeline.providers.answers import BalancesAnswer, QuarantinedRow
from bank_pipeline.providers.calls import JsonAnswer
from bank_pipeline.providers.exact_json import dump_json
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.teller.schemas import TellerBalances
from bank_pipeline.providers.teller.transform import to_balances

BALANCES: Final = "balances"
_AMOUNTS: Final = ("ledger", "available")


def to_balances_answer(answer: JsonAnswer, account: Account) -> BalancesAnswer:
    """Translate what can be read; an amount that cannot be is set aside, the other lands."""
    rows = Rows.of(BALANCES, [answer.raw.body])
    unread: list[str] = []

    def translate(raw: TellerBalances, unreadable: Mapping[str, Any]) -> tuple[Balance, ...]:
        unread.extend(name for name in _AMOUNTS if name in unreadable)
        return to_balances(raw, account)

    balances = rows.read(answer.body, TellerBalances, translate, id_key="account_id")
    reason = f"{' and '.join(unread)}: no amount"
    odd = QuarantinedRow(BALANCES, account.external_id, dump_json(answer.body), reason)
    return BalancesAnswer(
        balances=balances or (),
        quarantined=(*rows.quarantined, odd) if unread else tuple(rows.quarantined),
    )
