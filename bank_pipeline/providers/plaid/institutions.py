"""
Every bank that Plaid offers us, page by page.

Source: https://plaid.com/docs/api/institutions/#institutionsget
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import PayloadError
from bank_pipeline.providers.answers import InstitutionsAnswer
from bank_pipeline.providers.plaid.client import PlaidClient, parse_model
from bank_pipeline.providers.plaid.schemas import PlaidInstitution
from bank_pipeline.providers.plaid.transform import to_institution
from bank_pipeline.providers.rows import Rows

PAGE_ROWS: Final = 500  # the most that Plaid gives at once
PAGES_MAX: Final = 200  # 100,000 banks; Plaid has about 12,000
_OPERATION: Final = "institutions/get"


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    institutions: list[Any]
    total: int


def fetch_institutions(client: PlaidClient, country_codes: Sequence[str]) -> InstitutionsAnswer:
    """
    Fetch all institutions of these countries.

    Raises:
        PayloadError: the pages do not end.
    """
    found: dict[str, Institution] = {}
    rows = Rows(_OPERATION, has_odd_text=True)
    seen_count = 0
    for _ in range(PAGES_MAX):
        page = _fetch_page(client, country_codes, offset=seen_count)
        for raw in page.institutions:
            institution = rows.read(raw, PlaidInstitution, _read, id_key="institution_id")
            if institution is not None:
                found[institution.external_id] = institution
        seen_count += len(page.institutions)
        if not page.institutions or seen_count >= page.total:
            return InstitutionsAnswer(tuple(found.values()), tuple(rows.quarantined))
    raise PayloadError(Provider.PLAID, _OPERATION, code="PAGES_MAX")


def _fetch_page(client: PlaidClient, country_codes: Sequence[str], *, offset: int) -> _Page:
    answer = client.call(
        _OPERATION,
        lambda sdk: sdk.get_institutions(
            count=PAGE_ROWS, country_codes=country_codes, offset=offset
        ),
    )
    return parse_model(_Page, answer)


def _read(raw: PlaidInstitution, _unreadable: Mapping[str, Any]) -> Institution:
    return to_institution(raw)
