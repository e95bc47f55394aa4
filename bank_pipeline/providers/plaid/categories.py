"""
Our categories, and which of Plaid's codes mean them. Data.

A category says what the money was for, whichever way it went: a refund has the category of
the purchase it undoes and so nets against it, and a transfer is never income. Plaid's own
code is kept beside ours (`provider_category`); a user's choice is a column of its own.

Source: https://plaid.com/documents/pfc-taxonomy-all.csv (v1 and v2, February 2026, and five
codes seen since in production)
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from bank_pipeline.providers.plaid.schemas import PlaidCategory


class Category(StrEnum):
    """
    What the money was for: few enough to choose from, enough to keep books by.

    Payroll, software and advertising have no code at Plaid: they are for users, rules and
    other providers.
    """

    SALARY = "salary"
    BUSINESS_INCOME = "business_income"
    INVESTMENT_INCOME = "investment_income"
    INTEREST_INCOME = "interest_income"
    RENTAL_INCOME = "rental_income"
    PENSION_INCOME = "pension_income"
    BENEFITS = "benefits"
    OTHER_INCOME = "other_income"
    TRANSFER = "transfer"
    SAVINGS = "savings"
    INVESTMENT = "investment"
    CASH_DEPOSIT = "cash_deposit"
    CASH_WITHDRAWAL = "cash_withdrawal"
    LOAN_RECEIVED = "loan_received"
    LOAN_PAYMENT = "loan_payment"
    MORTGAGE = "mortgage"
    CREDIT_CARD_PAYMENT = "credit_card_payment"
    BANK_FEES = "bank_fees"
    INTEREST_PAID = "interest_paid"
    TAXES = "taxes"
    GOVERNMENT_FEES = "government_fees"
    DONATIONS = "donations"
    PAYROLL = "payroll"
    RENT = "rent"
    UTILITIES = "utilities"
    TELECOM = "telecom"
    SOFTWARE = "software"
    ADVERTISING = "advertising"
    INSURANCE = "insurance"
    PROFESSIONAL_SERVICES = "professional_services"
    OFFICE = "office"
    SHIPPING = "shipping"
    SERVICES = "services"
    GROCERIES = "groceries"
    MEALS = "meals"
    SHOPPING = "shopping"
    HOME = "home"
    HEALTH = "health"
    PERSONAL_CARE = "personal_care"
    EDUCATION = "education"
    CHILDCARE = "childcare"
    ENTERTAINMENT = "entertainment"
    TRANSPORT = "transport"
    VEHICLE = "vehicle"
    TRAVEL = "travel"


_OF_PRIMARY: Final[Mapping[str, Category]] = {
    "INCOME": Category.OTHER_INCOME,
    "LOAN_DISBURSEMENTS": Category.LOAN_RECEIVED,
    "LOAN_PAYMENTS": Category.LOAN_PAYMENT,
    "TRANSFER_IN": Category.TRANSFER,
    "TRANSFER_OUT": Category.TRANSFER,
    "BANK_FEES": Category.BANK_FEES,
    "ENTERTAINMENT": Category.ENTERTAINMENT,
    "FOOD_AND_DRINK": Category.MEALS,
    "GENERAL_MERCHANDISE": Category.SHOPPING,
    "HOME_IMPROVEMENT": Category.HOME,
    "MEDICAL": Category.HEALTH,
    "PERSONAL_CARE": Category.PERSONAL_CARE,
    "GENERAL_SERVICES": Category.SERVICES,
    "GOVERNMENT_AND_NON_PROFIT": Category.GOVERNMENT_FEES,
    "TRANSPORTATION": Category.TRANSPORT,
    "TRAVEL": Category.TRAVEL,
    "RENT_AND_UTILITIES": Category.UTILITIES,
}
"""OTHER is missing on purpose: it says nothing, and unknown is None."""

# Codes that mean what their primary means; listed, so that a new one is seen to be new.
_AS_PRIMARY: Final[Mapping[str, str]] = {
    "INCOME": "OTHER OTHER_INCOME",
    "LOAN_DISBURSEMENTS": (
        "AUTO BNPL CASH_ADVANCES EWA MORTGAGE PERSONAL STUDENT OTHER_DISBURSEMENT"
    ),
    "LOAN_PAYMENTS": (
        "CAR_PAYMENT CASH_ADVANCES EWA PERSONAL_LOAN_PAYMENT STUDENT_LOAN_PAYMENT "
        "OTHER_PAYMENT BNPL"
    ),
    "TRANSFER_IN": "ACCOUNT_TRANSFER WIRE OTHER_TRANSFER_IN TRANSFER_IN_FROM_APPS",
    "TRANSFER_OUT": "ACCOUNT_TRANSFER WIRE OTHER_TRANSFER_OUT TRANSFER_OUT_FROM_APPS",
    "BANK_FEES": (
        "ATM_FEES INSUFFICIENT_FUNDS FOREIGN_TRANSACTION_FEES OVERDRAFT_FEES LATE_FEES "
        "CASH_ADVANCE OTHER_BANK_FEES"
    ),
    "ENTERTAINMENT": (
        "CASINOS_AND_GAMBLING MUSIC_AND_AUDIO SPORTING_EVENTS_AMUSEMENT_PARKS_AND_MUSEUMS "
        "TV_AND_MOVIES VIDEO_GAMES OTHER_ENTERTAINMENT"
    ),
    "FOOD_AND_DRINK": (
        "BEER_WINE_AND_LIQUOR COFFEE FAST_FOOD RESTAURANT VENDING_MACHINES OTHER_FOOD_AND_DRINK"
    ),
    "GENERAL_MERCHANDISE": (
        "BOOKSTORES_AND_NEWSSTANDS CLOTHING_AND_ACCESSORIES CONVENIENCE_STORES "
        "DEPARTMENT_STORES DISCOUNT_STORES ELECTRONICS GIFTS_AND_NOVELTIES "
        "ONLINE_MARKETPLACES PET_SUPPLIES SPORTING_GOODS SUPERSTORES TOBACCO_AND_VAPE "
        "OTHER_GENERAL_MERCHANDISE"
    ),
    "HOME_IMPROVEMENT": (
        "FURNITURE HARDWARE REPAIR_AND_MAINTENANCE SECURITY OTHER_HOME_IMPROVEMENT"
    ),
    "MEDICAL": (
        "DENTAL_CARE EYE_CARE NURSING_CARE PHARMACIES_AND_SUPPLEMENTS PRIMARY_CARE "
        "VETERINARY_SERVICES OTHER_MEDICAL"
    ),
    "PERSONAL_CARE": (
        "GYMS_AND_FITNESS_CENTERS HAIR_AND_BEAUTY LAUNDRY_AND_DRY_CLEANING OTHER_PERSONAL_CARE"
    ),
    "GENERAL_SERVICES": "STORAGE OTHER_GENERAL_SERVICES",
    "GOVERNMENT_AND_NON_PROFIT": (
        "GOVERNMENT_DEPARTMENTS_AND_AGENCIES OTHER_GOVERNMENT_AND_NON_PROFIT"
    ),
    "TRANSPORTATION": (
        "BIKES_AND_SCOOTERS PUBLIC_TRANSIT TAXIS_AND_RIDE_SHARES OTHER_TRANSPORTATION"
    ),
    "TRAVEL": "FLIGHTS LODGING RENTAL_CARS OTHER_TRAVEL",
    "RENT_AND_UTILITIES": ("GAS_AND_ELECTRICITY SEWAGE_AND_WASTE_MANAGEMENT WATER OTHER_UTILITIES"),
}

_OF_DETAILED: Final[Mapping[str, Category]] = {
    "INCOME_CHILD_SUPPORT": Category.BENEFITS,
    "INCOME_CONTRACTOR": Category.BUSINESS_INCOME,
    "INCOME_DIVIDENDS": Category.INVESTMENT_INCOME,
    "INCOME_GIG_ECONOMY": Category.BUSINESS_INCOME,
    "INCOME_INTEREST_EARNED": Category.INTEREST_INCOME,
    "INCOME_LONG_TERM_DISABILITY": Category.BENEFITS,
    "INCOME_MILITARY": Category.SALARY,
    "INCOME_RENTAL": Category.RENTAL_INCOME,
    "INCOME_RETIREMENT_PENSION": Category.PENSION_INCOME,
    "INCOME_SALARY": Category.SALARY,
    "INCOME_WAGES": Category.SALARY,
    "INCOME_TAX_REFUND": Category.TAXES,
    "INCOME_UNEMPLOYMENT": Category.BENEFITS,
    "TRANSFER_IN_CASH_ADVANCES_AND_LOANS": Category.LOAN_RECEIVED,
    "TRANSFER_IN_DEPOSIT": Category.CASH_DEPOSIT,
    "TRANSFER_IN_INVESTMENT_AND_RETIREMENT_FUNDS": Category.INVESTMENT,
    "TRANSFER_IN_SAVINGS": Category.SAVINGS,
    "TRANSFER_OUT_CRYPTO": Category.INVESTMENT,
    "TRANSFER_OUT_INVESTMENT_AND_RETIREMENT_FUNDS": Category.INVESTMENT,
    "TRANSFER_OUT_SAVINGS": Category.SAVINGS,
    "TRANSFER_OUT_WITHDRAWAL": Category.CASH_WITHDRAWAL,
    "LOAN_PAYMENTS_CREDIT_CARD_PAYMENT": Category.CREDIT_CARD_PAYMENT,
    "LOAN_PAYMENTS_MORTGAGE_PAYMENT": Category.MORTGAGE,
    "BANK_FEES_INTEREST_CHARGE": Category.INTEREST_PAID,
    "FOOD_AND_DRINK_GROCERIES": Category.GROCERIES,
    "GENERAL_MERCHANDISE_OFFICE_SUPPLIES": Category.OFFICE,
    "GENERAL_SERVICES_ACCOUNTING_AND_FINANCIAL_PLANNING": Category.PROFESSIONAL_SERVICES,
    "GENERAL_SERVICES_AUTOMOTIVE": Category.VEHICLE,
    "GENERAL_SERVICES_CHILDCARE": Category.CHILDCARE,
    "GENERAL_SERVICES_CONSULTING_AND_LEGAL": Category.PROFESSIONAL_SERVICES,
    "GENERAL_SERVICES_EDUCATION": Category.EDUCATION,
    "GENERAL_SERVICES_INSURANCE": Category.INSURANCE,
    "GENERAL_SERVICES_POSTAGE_AND_SHIPPING": Category.SHIPPING,
    "GOVERNMENT_AND_NON_PROFIT_DONATIONS": Category.DONATIONS,
    "GOVERNMENT_AND_NON_PROFIT_TAX_PAYMENT": Category.TAXES,
    "TRANSPORTATION_GAS": Category.VEHICLE,
    "TRANSPORTATION_PARKING": Category.VEHICLE,
    "TRANSPORTATION_TOLLS": Category.VEHICLE,
    "RENT_AND_UTILITIES_INTERNET_AND_CABLE": Category.TELECOM,
    "RENT_AND_UTILITIES_RENT": Category.RENT,
    "RENT_AND_UTILITIES_TELEPHONE": Category.TELECOM,
}

CATEGORY_OF_DETAILED: Final[Mapping[str, Category | None]] = {
    **{
        f"{primary}_{suffix}": _OF_PRIMARY[primary]
        for primary, suffixes in _AS_PRIMARY.items()
        for suffix in suffixes.split()
    },
    **_OF_DETAILED,
    "OTHER_OTHER": None,
}
"""Every detailed code of both versions; None where Plaid itself does not know."""


def to_category(raw: PlaidCategory | None) -> str | None:
    """Return our category: by detailed code, else by primary, else None."""
    if raw is None:
        return None
    detailed = raw.detailed or ""
    if detailed in CATEGORY_OF_DETAILED:
        return CATEGORY_OF_DETAILED[detailed]
    return _OF_PRIMARY.get(raw.primary)
