"""Our categories are slugs that tables, rules and users keep, whoever provided the row."""

import json

from bank_pipeline.domain.category import Category
from bank_pipeline.providers.iso20022_purposes import PURPOSES
from bank_pipeline.providers.iso20022_tables import FAMILIES, PLACED, SUB_FAMILIES
from bank_pipeline.providers.mcc import CATEGORY_OF_CODE
from bank_pipeline.providers.plaid.categories import CATEGORY_OF_DETAILED


def test_a_category_is_its_own_slug() -> None:
    assert {str(member) for member in Category} == {name.lower() for name in Category.__members__}


def test_a_category_is_stored_as_plain_text() -> None:
    assert f"{Category.BANK_FEES}" == json.dumps(Category.BANK_FEES).strip('"') == "bank_fees"


def test_every_category_has_a_code_at_some_provider_or_standard() -> None:
    """What no code reaches would be for users alone; there is none."""
    meanings = (*PURPOSES.values(), *FAMILIES.values(), *SUB_FAMILIES.values(), *PLACED.values())
    reached = {
        *CATEGORY_OF_DETAILED.values(),
        *CATEGORY_OF_CODE.values(),
        *(meaning.money_in for meaning in meanings),
        *(meaning.money_out for meaning in meanings),
    }
    assert set(Category) - reached == set()
