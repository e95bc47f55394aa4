"""
What the ISO 20022 purpose codes mean in our categories. Data.

The purpose is the payer's word on what a payment is for. Codes of trading and collateral are
left out, and so are those that say only how or that something was paid (IVPT, SUPP, GDDS).

Source: https://www.iso20022.org/catalogue-messages/additional-content-messages/external-code-sets
"""

from collections.abc import Mapping
from typing import Final

from bank_pipeline.domain.category import Category
from bank_pipeline.providers.iso20022_tables import Meaning, both_ways


def _income(name: str, category: Category) -> Meaning:
    """Return what is income to who receives it and says nothing of who pays it."""
    return Meaning(name, money_in=category)


def _wages(name: str) -> Meaning:
    return Meaning(name, money_in=Category.SALARY, money_out=Category.PAYROLL)


PURPOSES: Final[Mapping[str, Meaning]] = {
    # Earned or granted.
    "SALA": _wages("salary payment"),
    "PAYR": _wages("payroll"),
    "BONU": _wages("bonus payment"),
    "GVEA": _wages("government employees, category A"),
    "GVEB": _wages("government employees, category B"),
    "GVEC": _wages("government employees, category C"),
    "GVED": _wages("government employees, category D"),
    "PENS": _income("pension payment", Category.PENSION_INCOME),
    "ANNI": _income("annuity", Category.PENSION_INCOME),
    "SSBE": _income("social security benefit", Category.BENEFITS),
    "BECH": _income("child benefit", Category.BENEFITS),
    "BENE": _income("unemployment or disability benefit", Category.BENEFITS),
    "BBSC": _income("baby bonus scheme", Category.BENEFITS),
    "CCHD": _income("compensation for disability", Category.BENEFITS),
    "RHBS": _income("rehabilitation support", Category.BENEFITS),
    "GFRP": _income("compensation in insolvency", Category.BENEFITS),
    "GWLT": _income("support of war victims", Category.BENEFITS),
    "AEMP": _income("active employment policy", Category.BENEFITS),
    "FAND": _income("aid after a natural disaster", Category.BENEFITS),
    "ALLW": _income("allowance", Category.BENEFITS),
    "ALMY": _income("alimony", Category.BENEFITS),
    "DIVD": _income("dividend", Category.INVESTMENT_INCOME),
    "DIVI": _income("dividend", Category.INVESTMENT_INCOME),
    "INTE": Meaning(
        "interest", money_in=Category.INTEREST_INCOME, money_out=Category.INTEREST_PAID
    ),
    "ROYA": _income("royalties", Category.BUSINESS_INCOME),
    "CPYR": _income("copyright", Category.BUSINESS_INCOME),
    "MTUP": both_ways("mobile top-up", Category.TELECOM),
    # Between one's own accounts.
    "ACCT": both_ways("own accounts at one bank", Category.TRANSFER),
    "CASH": both_ways("cash management", Category.TRANSFER),
    "INTC": both_ways("within a group of companies", Category.TRANSFER),
    "LIMA": both_ways("liquidity management", Category.TRANSFER),
    "TREA": both_ways("treasury", Category.TRANSFER),
    "FREX": both_ways("foreign exchange", Category.TRANSFER),
    "ETUP": both_ways("top-up of an electronic purse", Category.TRANSFER),
    "SAVG": both_ways("savings", Category.SAVINGS),
    "CBFF": both_ways("capital building", Category.SAVINGS),
    "CBFR": both_ways("capital building for retirement", Category.SAVINGS),
    "INVS": both_ways("investment and securities", Category.INVESTMENT),
    "SECU": both_ways("securities", Category.INVESTMENT),
    "SEPI": both_ways("purchase of securities", Category.INVESTMENT),
    "PRME": both_ways("precious metal", Category.INVESTMENT),
    "DERI": both_ways("derivatives", Category.INVESTMENT),
    "CDCD": both_ways("cash disbursement", Category.CASH_WITHDRAWAL),
    "CDCS": both_ways("cash disbursement with surcharge", Category.CASH_WITHDRAWAL),
    "CSDB": both_ways("cash disbursement", Category.CASH_WITHDRAWAL),
    # Borrowed.
    "LOAN": Meaning("loan to the borrower", money_in=Category.LOAN_RECEIVED),
    "LOAR": both_ways("loan repayment", Category.LOAN_PAYMENT),
    "CLPR": both_ways("principal of a car loan", Category.LOAN_PAYMENT),
    "IHRP": Meaning("hire purchase", money_out=Category.LOAN_PAYMENT),
    "INSM": Meaning("instalment", money_out=Category.LOAN_PAYMENT),
    "RINP": Meaning("recurring instalment", money_out=Category.LOAN_PAYMENT),
    "HLRP": both_ways("housing loan repayment", Category.MORTGAGE),
    "CCRD": both_ways("credit card payment", Category.CREDIT_CARD_PAYMENT),
    "CDBL": both_ways("credit card bill", Category.CREDIT_CARD_PAYMENT),
    "ICCP": both_ways("reimbursed credit card payment", Category.CREDIT_CARD_PAYMENT),
    # Banks and the state.
    "BKFE": both_ways("bank loan fees", Category.BANK_FEES),
    "CAFI": both_ways("custodian's fee", Category.BANK_FEES),
    "FCOL": both_ways("card fee collection", Category.BANK_FEES),
    "FCPM": both_ways("late fees and charges", Category.BANK_FEES),
    "TAXS": both_ways("tax payment", Category.TAXES),
    "TAXR": both_ways("tax refund", Category.TAXES),
    "VATX": both_ways("value added tax", Category.TAXES),
    "GSTX": both_ways("goods and services tax", Category.TAXES),
    "INTX": both_ways("income tax", Category.TAXES),
    "NITX": both_ways("net income tax", Category.TAXES),
    "ESTX": both_ways("estate tax", Category.TAXES),
    "HSTX": both_ways("housing tax", Category.TAXES),
    "PTXP": both_ways("property tax", Category.TAXES),
    "RDTX": both_ways("road tax", Category.TAXES),
    "WHLD": both_ways("withholding tax", Category.TAXES),
    "FWLV": both_ways("foreign worker levy", Category.TAXES),
    "GOVT": Meaning("to or from a government", money_out=Category.GOVERNMENT_FEES),
    "TCSC": both_ways("town council charges", Category.GOVERNMENT_FEES),
    "CHAR": both_ways("charity", Category.DONATIONS),
    # Home.
    "RENT": Meaning("rent", money_in=Category.RENTAL_INCOME, money_out=Category.RENT),
    "ELEC": both_ways("electricity bill", Category.UTILITIES),
    "ENRG": both_ways("energy", Category.UTILITIES),
    "GASB": both_ways("gas bill", Category.UTILITIES),
    "WTER": both_ways("water bill", Category.UTILITIES),
    "UBIL": both_ways("utilities", Category.UTILITIES),
    "NWCH": both_ways("network charge", Category.TELECOM),
    "NWCM": both_ways("network communication", Category.TELECOM),
    "PHON": both_ways("telephone bill", Category.TELECOM),
    "TBIL": both_ways("telecommunications bill", Category.TELECOM),
    "OTLC": both_ways("other telecommunications bill", Category.TELECOM),
    "CBTV": both_ways("cable television bill", Category.TELECOM),
    "BLDM": both_ways("building maintenance", Category.HOME),
    # Insurance, health, learning.
    "INSU": both_ways("insurance premium", Category.INSURANCE),
    "INPC": both_ways("car insurance", Category.INSURANCE),
    "HLTI": both_ways("health insurance", Category.INSURANCE),
    "LIFI": both_ways("life insurance", Category.INSURANCE),
    "LBRI": both_ways("labour insurance", Category.INSURANCE),
    "PPTI": both_ways("property insurance", Category.INSURANCE),
    "GOVI": both_ways("government insurance", Category.INSURANCE),
    "MDCS": both_ways("medical services", Category.HEALTH),
    "DNTS": both_ways("dental services", Category.HEALTH),
    "HSPC": both_ways("hospital care", Category.HEALTH),
    "HLTC": both_ways("home health care", Category.HEALTH),
    "LTCF": both_ways("long-term care", Category.HEALTH),
    "ICRF": both_ways("intermediate care", Category.HEALTH),
    "CVCF": both_ways("convalescent care", Category.HEALTH),
    "ANTS": both_ways("anaesthesia", Category.HEALTH),
    "DMEQ": both_ways("durable medical equipment", Category.HEALTH),
    "VIEW": both_ways("vision care", Category.HEALTH),
    "EDUC": both_ways("education", Category.EDUCATION),
    "STDY": both_ways("study", Category.EDUCATION),
    # Work and ways.
    "SUBS": both_ways("subscription to information or entertainment", Category.ENTERTAINMENT),
    "AIRB": both_ways("air transport", Category.TRAVEL),
    "FERB": both_ways("ferry", Category.TRANSPORT),
    "BUSB": both_ways("bus", Category.TRANSPORT),
    "RLWY": both_ways("railway", Category.TRANSPORT),
    "CPKC": both_ways("car park", Category.VEHICLE),
    "TRPT": both_ways("road pricing", Category.VEHICLE),
}
