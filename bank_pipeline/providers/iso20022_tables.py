"""
What the ISO 20022 bank transaction codes mean in our words. Data.

A code has a domain (PMNT: payments), a family (ICDT: credit transfers the holder issued) and
a sub-family (STDO: by standing order). Listed are the codes that say how money moved or what
it was for; the rest of the published set says neither and means None.

A credit transfer is how invoices, wages and gifts are all paid: its family has a method and
no category. Only what the set itself calls a movement between own accounts is a transfer.

Source: https://www.iso20022.org/catalogue-messages/additional-content-messages/external-code-sets
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bank_pipeline.domain.category import Category
from bank_pipeline.domain.transaction import PaymentMethod


@dataclass(frozen=True)
class Meaning:
    """What one code says: its name in the set, how money moved, and what for, by direction."""

    name: str
    method: PaymentMethod | None = None
    money_in: Category | None = None
    money_out: Category | None = None

    def category(self, *, is_credit: bool | None) -> Category | None:
        """Return the category of that direction; of either, where both have the same."""
        if is_credit is None:
            return self.money_in if self.money_in is self.money_out else None
        return self.money_in if is_credit else self.money_out


def both_ways(name: str, category: Category | None, method: PaymentMethod | None = None) -> Meaning:
    """Return a meaning whose category is the same for money in and money out."""
    return Meaning(name, method, category, category)


_Method = PaymentMethod

DOMAINS: Final[Mapping[str, Meaning]] = {
    "PMNT": Meaning("payments"),
    "CAMT": both_ways("cash management", Category.TRANSFER),
    "ACMT": Meaning("account management"),
    "LDAS": Meaning("loans, deposits and syndications"),
    "FORX": both_ways("foreign exchange between own currencies", Category.TRANSFER),
    "PMET": both_ways("precious metal", Category.INVESTMENT),
    "CMDT": both_ways("commodities", Category.INVESTMENT),
    "SECU": both_ways("securities", Category.INVESTMENT),
    "DERV": both_ways("derivatives", Category.INVESTMENT),
    "TRAD": Meaning("trade services"),
    "XTND": Meaning("extended domain"),
}

FAMILIES: Final[Mapping[str, Meaning]] = {
    "ICDT": Meaning("issued credit transfers", _Method.TRANSFER),
    "RCDT": Meaning("received credit transfers", _Method.TRANSFER),
    "IRCT": Meaning("issued real-time credit transfers", _Method.TRANSFER),
    "RRCT": Meaning("received real-time credit transfers", _Method.TRANSFER),
    "IDDT": Meaning("issued direct debits", _Method.DIRECT_DEBIT),
    "RDDT": Meaning("received direct debits", _Method.DIRECT_DEBIT),
    "CCRD": Meaning("customer card transactions", _Method.CARD),
    "MCRD": Meaning("a merchant's card takings", _Method.CARD, money_in=Category.BUSINESS_INCOME),
    "ICHQ": Meaning("issued cheques", _Method.CHEQUE),
    "RCHQ": Meaning("received cheques", _Method.CHEQUE),
    "LBOX": Meaning("cheques through a lock box", _Method.CHEQUE),
    "CNTR": Meaning("counter transactions", _Method.CASH),
    "ICCN": both_ways("issued cash concentration", Category.TRANSFER, _Method.TRANSFER),
    "RCCN": both_ways("received cash concentration", Category.TRANSFER, _Method.TRANSFER),
    "ACCB": both_ways("account balancing", Category.TRANSFER, _Method.TRANSFER),
    "CAPL": both_ways("cash pooling", Category.TRANSFER, _Method.TRANSFER),
    "CSLN": Meaning("consumer loans", money_out=Category.LOAN_PAYMENT),
    "FTLN": Meaning("fixed term loans", money_out=Category.LOAN_PAYMENT),
    "NTLN": Meaning("notice loans", money_out=Category.LOAN_PAYMENT),
    "SYDN": Meaning("syndicated loans", money_out=Category.LOAN_PAYMENT),
    "MGLN": Meaning("mortgage loans", money_out=Category.MORTGAGE),
    "FTDP": both_ways("fixed term deposits", Category.SAVINGS),
    "NTDP": both_ways("notice deposits", Category.SAVINGS),
    "DRFT": Meaning("drafts and bills of order"),
    "MCOP": Meaning("miscellaneous credit operations"),
    "MDOP": Meaning("miscellaneous debit operations"),
    "ACOP": Meaning("additional miscellaneous credit operations"),
    "ADOP": Meaning("additional miscellaneous debit operations"),
    "OPCL": Meaning("opening and closing of an account"),
    "NTAV": Meaning("not available"),
    "OTHR": Meaning("other"),
}
"""
Families of payments, cash management, accounts and loans. Those of securities, derivatives,
metals and the like add nothing to their domain, and as bare words (CASH, SPOT) would mislead.
"""


def _fee(name: str) -> Meaning:
    return both_ways(name, Category.BANK_FEES, _Method.FEE)


def _own(name: str) -> Meaning:
    return both_ways(name, Category.TRANSFER, _Method.TRANSFER)


def _tax(name: str) -> Meaning:
    return both_ways(name, Category.TAXES, _Method.FEE)  # the bank books it itself, as a fee


def _yield(name: str) -> Meaning:
    return Meaning(name, money_in=Category.INVESTMENT_INCOME)


SUB_FAMILIES: Final[Mapping[str, Meaning]] = {
    # Wages, whose category depends on who pays.
    "SALA": Meaning("salary payment", _Method.TRANSFER, Category.SALARY, Category.PAYROLL),
    "XBSA": Meaning("cross-border salary", _Method.TRANSFER, Category.SALARY, Category.PAYROLL),
    # Ways of paying.
    "STDO": Meaning("standing order", _Method.STANDING_ORDER),
    "XBST": Meaning("cross-border standing order", _Method.STANDING_ORDER),
    "ESCT": Meaning("SEPA credit transfer", _Method.TRANSFER),
    "DMCT": Meaning("domestic credit transfer", _Method.TRANSFER),
    "XBCT": Meaning("cross-border credit transfer", _Method.TRANSFER),
    "PRCT": Meaning("priority credit transfer", _Method.TRANSFER),
    "SDVA": Meaning("same day value credit transfer", _Method.TRANSFER),
    "VCOM": Meaning("credit transfer with commercial information", _Method.TRANSFER),
    "FICT": Meaning("credit transfer of a financial institution", _Method.TRANSFER),
    "BOOK": Meaning("book transfer within one bank", _Method.TRANSFER),
    "AUTT": Meaning("automatic transfer", _Method.TRANSFER),
    "ATXN": Meaning("clearing house transaction", _Method.TRANSFER),
    "ACDT": Meaning("clearing house credit", _Method.TRANSFER),
    "ADBT": Meaning("clearing house debit", _Method.DIRECT_DEBIT),
    "APAC": Meaning("clearing house pre-authorised debit", _Method.DIRECT_DEBIT),
    "ESDD": Meaning("SEPA core direct debit", _Method.DIRECT_DEBIT),
    "BBDD": Meaning("SEPA direct debit between businesses", _Method.DIRECT_DEBIT),
    "PMDD": Meaning("direct debit", _Method.DIRECT_DEBIT),
    "OODD": Meaning("one-off direct debit", _Method.DIRECT_DEBIT),
    "PADD": Meaning("pre-authorised direct debit", _Method.DIRECT_DEBIT),
    "URDD": Meaning("direct debit under reserve", _Method.DIRECT_DEBIT),
    "XBDD": Meaning("cross-border direct debit", _Method.DIRECT_DEBIT),
    "FIDD": Meaning("direct debit of a financial institution", _Method.DIRECT_DEBIT),
    "POSD": Meaning("debit card at the point of sale", _Method.CARD),
    "POSC": Meaning("credit card payment", _Method.CARD),
    "POSP": Meaning("point of sale payment", _Method.CARD),
    "XBCP": Meaning("cross-border credit card payment", _Method.CARD),
    "SMRT": Meaning("smart-card payment", _Method.CARD),
    "SMCD": Meaning("smart-card takings", _Method.CARD),
    "CCHQ": Meaning("cheque", _Method.CHEQUE),
    "BCHQ": Meaning("bank cheque", _Method.CHEQUE),
    "CCCH": Meaning("certified cheque", _Method.CHEQUE),
    "CRCQ": Meaning("crossed cheque", _Method.CHEQUE),
    "ORCQ": Meaning("order cheque", _Method.CHEQUE),
    "OPCQ": Meaning("open cheque", _Method.CHEQUE),
    "CLCQ": Meaning("circular cheque", _Method.CHEQUE),
    "URCQ": Meaning("cheque under reserve", _Method.CHEQUE),
    "UPCQ": Meaning("unpaid cheque", _Method.CHEQUE),
    "CQRV": Meaning("cheque reversal", _Method.CHEQUE),
    "XBCQ": Meaning("foreign cheque", _Method.CHEQUE),
    "XRCQ": Meaning("foreign cheque under reserve", _Method.CHEQUE),
    "XPCQ": Meaning("unpaid foreign cheque", _Method.CHEQUE),
    "CHKD": Meaning("cheque deposit", _Method.CHEQUE),
    # Cash.
    "CWDL": both_ways("cash withdrawal", Category.CASH_WITHDRAWAL, _Method.CASH),
    "XBCW": both_ways("cross-border cash withdrawal", Category.CASH_WITHDRAWAL, _Method.CASH),
    "BCWD": both_ways("branch withdrawal", Category.CASH_WITHDRAWAL, _Method.CASH),
    "FCWD": both_ways("foreign currency withdrawal", Category.CASH_WITHDRAWAL, _Method.CASH),
    "CDPT": both_ways("cash deposit", Category.CASH_DEPOSIT, _Method.CASH),
    "BCDP": both_ways("branch deposit", Category.CASH_DEPOSIT, _Method.CASH),
    "FCDP": both_ways("foreign currency deposit", Category.CASH_DEPOSIT, _Method.CASH),
    "MIXD": both_ways("mixed deposit", Category.CASH_DEPOSIT, _Method.CASH),
    # What the bank itself takes or gives. A fee given back nets against the fee.
    "CHRG": _fee("charges"),
    "FEES": _fee("fees"),
    "COMM": _fee("commission"),
    "COME": _fee("commission excluding taxes"),
    "COMI": _fee("commission including taxes"),
    "COMT": _fee("non-taxable commission"),
    "CHAR": _fee("charge for an account"),
    "BKFE": _fee("bank fees"),
    "OVCH": _fee("overdraft charge"),
    "MNFE": _fee("management fees"),
    "BROK": _fee("brokerage fee"),
    "TRFE": _fee("transaction fees"),
    "INTR": Meaning("interest", _Method.INTEREST, Category.INTEREST_INCOME, Category.INTEREST_PAID),
    "INFD": Meaning("interest of a fixed deposit", _Method.INTEREST, Category.INTEREST_INCOME),
    "TAXE": _tax("taxes"),
    "WITH": _tax("withholding tax"),
    "TREC": _tax("tax reclaim"),
    # Money that goes back the way it came, and corrections.
    "RIMB": Meaning("reimbursement", _Method.REFUND),
    "RRTN": Meaning("return of a credit transfer", _Method.REFUND),
    "RPCR": Meaning("cancelled credit transfer", _Method.REFUND),
    "ARET": Meaning("clearing house return", _Method.REFUND),
    "AREV": Meaning("clearing house reversal", _Method.REFUND),
    "UPDD": Meaning("unpaid direct debit", _Method.REFUND),
    "PRDD": Meaning("reversed direct debit", _Method.REFUND),
    "RCDD": Meaning("cancelled direct debit", _Method.REFUND),
    "UPCT": Meaning("unpaid card transaction", _Method.REFUND),
    "ADJT": Meaning("adjustment", _Method.ADJUSTMENT),
    "CAJT": Meaning("credit adjustment", _Method.ADJUSTMENT),
    "DAJT": Meaning("debit adjustment", _Method.ADJUSTMENT),
    "PSTE": Meaning("posting error", _Method.ADJUSTMENT),
    "VALD": Meaning("value date correction", _Method.ADJUSTMENT),
    "BCKV": Meaning("back value correction", _Method.ADJUSTMENT),
    "ERTA": Meaning("exchange rate adjustment", _Method.ADJUSTMENT),
    "FLTA": Meaning("float adjustment", _Method.ADJUSTMENT),
    "YTDA": Meaning("year-to-date adjustment", _Method.ADJUSTMENT),
    # Between accounts of one holder.
    "COAT": _own("corporate own account transfer"),
    "ICCT": _own("intra-company transfer"),
    "XICT": _own("cross-border intra-company transfer"),
    "BACT": _own("branch account transfer"),
    "FIOA": _own("a financial institution's own account transfer"),
    "ACON": _own("clearing house concentration"),
    "SWEP": _own("sweeping"),
    "TOPG": _own("topping"),
    "ZABA": _own("zero balancing"),
    # Loans, deposits, securities.
    "DDWN": both_ways("drawdown of a loan", Category.LOAN_RECEIVED),
    "PPAY": both_ways("principal payment", Category.LOAN_PAYMENT),
    "DPST": both_ways("opening of a term deposit", Category.SAVINGS),
    "RPMT": both_ways("repayment of a term deposit", Category.SAVINGS),
    "DVCA": _yield("cash dividend"),
    "DVOP": _yield("dividend option"),
    "DRIP": _yield("dividend reinvestment"),
    "DIVI": _yield("dividend"),  # a purpose by the book; some banks put it here
    "CAPG": _yield("capital gains distribution"),
    "SUBS": both_ways("subscription to a fund", Category.INVESTMENT),
    "REDM": both_ways("redemption", Category.INVESTMENT),
    "SSPL": both_ways("subscription to a savings plan", Category.INVESTMENT),
    "NTAV": Meaning("not available"),
    "OTHR": Meaning("other"),
}

_LOAN_INTEREST: Final = both_ways("interest of a loan", Category.INTEREST_PAID, _Method.INTEREST)
_BOND_INTEREST: Final = Meaning(
    "interest of securities", _Method.INTEREST, money_in=Category.INVESTMENT_INCOME
)

PLACED: Final[Mapping[tuple[str, str], Meaning]] = {
    ("MGLN", "PPAY"): both_ways("principal of a mortgage", Category.MORTGAGE),
    **{(family, "INTR"): _LOAN_INTEREST for family in ("CSLN", "FTLN", "NTLN", "SYDN", "MGLN")},
    ("SECU", "INTR"): _BOND_INTEREST,
}
"""By (family or domain, sub-family): where a sub-family means more than it does elsewhere."""
