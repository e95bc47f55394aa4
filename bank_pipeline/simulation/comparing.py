"""Hold one connection's tables against its bank: every difference is a finding."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.simulation.evidence import HeldAccount, SetAside, ShownAccount
from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.matching import HeldRow, Matching, Pair, ShownRow, match_rows

_ROWS: Final = (
    Checker.MISSING,
    Checker.DOUBLED,
    Checker.INVENTED,
    Checker.WRONG_AMOUNT,
    Checker.WRONG_DATE,
    Checker.WRONG_STATE,
    Checker.WRONG_CURRENCY,
    Checker.WRONG_DESCRIPTION,
    Checker.ENDLESS_PENDING,
)


@dataclass(frozen=True)
class Comparison:
    """
    One connection, ready to be compared.

    `world_accounts` tells which of the world's accounts each account id stood for, `names`
    which entry each row id did. `older` are rows that an earlier consent showed and the
    present one may no longer reach. `is_windowed`: only covered dates are promised. `paired` are
    booked entries that an earlier look found in both and that the bank never took back: they stay.
    """

    where: str
    provider: Provider
    shown: Mapping[str, ShownAccount]
    held: Collection[HeldAccount]
    world_accounts: Mapping[str, str]
    names: Mapping[str, Mapping[str, str]]
    older: Mapping[str, Mapping[str, ShownRow]]
    set_aside: Collection[SetAside]
    is_windowed: bool
    paired: Collection[str] = frozenset()

    def by_world_account(self) -> dict[str, list[HeldAccount]]:
        """Return the held accounts by the world's account they stand for."""
        grouped: dict[str, list[HeldAccount]] = {}
        for account in self.held:
            name = self.world_accounts.get(account.external_id, f"? {account.external_id}")
            grouped.setdefault(name, []).append(account)
        return grouped

    def matching(self, name: str) -> Matching:
        """Pair the rows of one of the world's accounts."""
        shown = self.shown.get(name)
        rows = dict(shown.rows) if shown else {}
        first_day = date.max if shown is None else shown.first_day or date.min
        for entry_id, row in self.older.get(name, {}).items():
            if row.day < first_day:
                rows.setdefault(entry_id, row)
        held = [row for account in self.by_world_account().get(name, []) for row in account.rows]
        return match_rows([*rows.values()], held, self.names.get(name, {}))


def compare(one: Comparison, findings: Findings) -> None:
    """Compare all accounts of one connection, both ways."""
    grouped = one.by_world_account()
    findings.look(Checker.UNREAD)
    for row in one.set_aside:
        if row.account is None:  # no bank here sends what nobody can read, odd ones included
            findings.add(Checker.UNREAD, one.where, f"{row.external_id}: {row.reason}")
    for name, shown in one.shown.items():
        held = grouped.pop(name, [])
        findings.look(Checker.MISSING_ACCOUNT)
        if not held:
            if shown.is_listed:
                findings.add(Checker.MISSING_ACCOUNT, one.where, f"{shown.name} ({name})")
            continue
        _compare_state(one, name, shown, held, findings)
        _compare_account(one, name, shown, held, findings)
        _compare_balances(one, shown, held, findings)
    for name, held in grouped.items():
        _compare_unshown(one, name, held, findings)


def _compare_unshown(
    one: Comparison, name: str, held: list[HeldAccount], findings: Findings
) -> None:
    """
    Compare what the present consent does not show, as accounts closed before it.

    Their rows are those that earlier consents showed; where nothing ever was, none is.
    """
    for account in held:
        if account.is_open:
            findings.add(Checker.INVENTED, one.where, f"the bank has no account {name}")
    matching = one.matching(name)
    where = f"{one.where} ({name})"
    count = len(matching.pairs) + len(matching.doubles) + len(matching.invented)
    findings.look(Checker.DOUBLED, count)
    findings.look(Checker.INVENTED, count)
    invented = [row for row in matching.invented if name not in one.older or not row.is_pending]
    _add_rows(findings, Checker.DOUBLED, where, matching.doubles)
    _add_rows(findings, Checker.INVENTED, where, invented)
    _compare_lost(one, matching, where, findings)


def _compare_state(
    one: Comparison,
    name: str,
    shown: ShownAccount,
    held: list[HeldAccount],
    findings: Findings,
) -> None:
    findings.look(Checker.WRONG_ACCOUNT_STATE)
    is_open = any(account.is_open for account in held)
    if is_open != shown.is_listed:
        words = "open, and no longer listed" if is_open else "closed, and still listed"
        findings.add(Checker.WRONG_ACCOUNT_STATE, one.where, f"{shown.name} ({name}): {words}")


def _compare_lost(one: Comparison, matching: Matching, where: str, findings: Findings) -> None:
    """Find the rows of a closed account that were read once, and are gone now."""
    lost = [missing for missing in matching.missing if missing.entry_id in one.paired]
    _add_rows(findings, Checker.MISSING, where, lost)


def _add_rows(
    findings: Findings, checker: Checker, where: str, rows: Iterable[HeldRow | ShownRow]
) -> None:
    for row in rows:
        findings.add(checker, where, _told(row))


def _compare_account(
    one: Comparison,
    name: str,
    shown: ShownAccount,
    held: list[HeldAccount],
    findings: Findings,
) -> None:
    matching = one.matching(name)
    count = len(matching.pairs) + len(matching.missing)
    for checker in _ROWS:
        findings.look(checker, count)
    where = f"{one.where} {shown.name} ({name})"
    _add_rows(findings, Checker.DOUBLED, where, matching.doubles)
    for row in matching.invented:
        kind = Checker.ENDLESS_PENDING if row.is_pending else Checker.INVENTED
        if shown.is_listed or kind is Checker.INVENTED:
            findings.add(kind, where, _told(row))
    if not shown.is_listed:
        _compare_lost(one, matching, where, findings)
        return  # it was closed or withdrawn: what came after our last look was never shown
    accounts = {*shown.external_ids, *(account.external_id for account in held)}
    waiting = {row.external_id for row in one.set_aside if row.account in accounts}
    for missing in matching.missing:
        is_promised = not one.is_windowed or any(each.covers(missing.day) for each in held)
        if is_promised and missing.external_id not in waiting:
            findings.add(Checker.MISSING, where, _told(missing))
    for pair in matching.pairs:
        _compare_pair(pair, where, findings)


def _compare_pair(pair: Pair, where: str, findings: Findings) -> None:
    bank, ours = pair.shown, pair.held
    if ours.amount != bank.amount:
        findings.add(Checker.WRONG_AMOUNT, where, f"{_told(ours)}, not {bank.amount}")
    if ours.day != bank.day and not (bank.is_pending and ours.is_pending):
        findings.add(Checker.WRONG_DATE, where, f"{_told(ours)}, not {bank.day}")
    if ours.is_pending and not bank.is_pending:
        findings.add(Checker.ENDLESS_PENDING, where, f"{_told(ours)}, but it is booked")
    elif ours.is_pending != bank.is_pending:
        findings.add(Checker.WRONG_STATE, where, f"{_told(ours)}, but it is pending")
    if bank.currency is not None and ours.currency != bank.currency:
        findings.add(Checker.WRONG_CURRENCY, where, f"{_told(ours)}, not {bank.currency}")
    if ours.description != bank.description:
        words = f"{_told(ours)}: {ours.description!r}, not {bank.description!r}"
        findings.add(Checker.WRONG_DESCRIPTION, where, words)


def _compare_balances(
    one: Comparison, shown: ShownAccount, held: list[HeldAccount], findings: Findings
) -> None:
    if not shown.is_listed:
        return
    for account in held:
        if not account.is_open:
            continue
        where = f"{one.where} {shown.name}"
        findings.look(Checker.WRONG_CURRENCY)
        if account.currency != shown.currency:  # None, too: it would be made up
            words = f"account in {account.currency}, not {shown.currency}"
            findings.add(Checker.WRONG_CURRENCY, where, words)
        findings.look(Checker.WRONG_BALANCE, 2)
        if account.booked != shown.booked:  # None, too: what no bank told is made up
            findings.add(
                Checker.WRONG_BALANCE, where, f"booked {account.booked}, not {shown.booked}"
            )
        if account.available != shown.available:
            words = f"available {account.available}, not {shown.available}"
            findings.add(Checker.WRONG_BALANCE, where, words)


def _told(row: ShownRow | HeldRow) -> str:
    state = "pending" if row.is_pending else "booked"
    name = row.entry_id if isinstance(row, ShownRow) else row.id
    return f"{state} {row.amount} {row.currency} of {row.day} ({name})"
