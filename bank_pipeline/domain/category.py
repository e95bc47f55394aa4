"""
Our categories: what the money was for, whoever says so. Pure.

A category says what the money was for, whichever way it went: a refund has the category of
the purchase it undoes and so nets against it, and a transfer is never income. The provider's
own code is kept beside ours (`provider_category`); a user's choice is a column of its own.
"""

from enum import StrEnum


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
