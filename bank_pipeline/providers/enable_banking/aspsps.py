"""
The banks that Enable Banking offers, fetched once a day.

There is one list and no call for one bank; it says how long a consent may last and what a
bank wants to be told of a present customer.

Source: https://enablebanking.com/docs/api/reference/#get-aspsps
"""

from collections.abc import Mapping
from typing import Any, Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import InstitutionsAnswer
from bank_pipeline.providers.cache import INSTITUTION_TTL_S, Cache
from bank_pipeline.providers.calls import JsonAnswer
from bank_pipeline.providers.enable_banking.accounts import to_institution
from bank_pipeline.providers.enable_banking.client import EnableBankingClient, parse_model
from bank_pipeline.providers.enable_banking.schemas import EbAspsp, EbAspspsAnswer
from bank_pipeline.providers.exact_json import to_plain
from bank_pipeline.providers.rows import Rows

OPERATION: Final = "aspsps"
_FIELDS: Final = frozenset(EbAspsp.model_fields)


class Aspsps:
    """The list of banks. Safe to share between threads."""

    def __init__(self, client: EnableBankingClient, cache: Cache, *, key: str) -> None:
        self._client = client
        self._cache = cache
        self._key = key

    def fetch(self) -> InstitutionsAnswer:
        """Fetch the list anew, and remember it."""
        answer = self._fetch()
        self.forget()
        self._rows(lambda: _reduced(answer))
        rows = Rows.of(OPERATION, [answer.raw.body])
        read = [
            rows.read(raw, EbAspsp, to_institution, id_key="name")
            for raw in parse_model(EbAspspsAnswer, answer).aspsps
        ]
        found = {bank.external_id: bank for bank in read if bank is not None}
        return InstitutionsAnswer(tuple(found.values()), tuple(rows.quarantined))

    def find(self, external_id: str) -> EbAspsp | None:
        """Return one bank by our name of it; None when there is none today."""
        country, _, name = external_id.partition(":")
        rows = Rows(OPERATION, has_odd_text=True)
        for raw in self._rows(lambda: _reduced(self._fetch())):
            if raw.get("name") == name and str(raw.get("country")).upper() == country.upper():
                return rows.read(raw, EbAspsp, lambda bank, _: bank, id_key="name")
        return None

    def forget(self) -> None:
        """Forget the list, so that the next look is at a fresh one."""
        self._cache.drop(self._key)

    def _rows(self, create: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - see Cache
        value = self._cache.get_or_create(self._key, create, ttl_s=INSTITUTION_TTL_S)
        found: list[Mapping[str, Any]] = value.get("aspsps") or []
        return found

    def _fetch(self) -> JsonAnswer:
        return self._client.call(OPERATION, "GET", "/aspsps", params={"service": "AIS"})


def _reduced(answer: JsonAnswer) -> dict[str, Any]:
    """Keep what is read of each bank: the rest is ten times as much, and about payments."""
    rows = calls.parse_model(Provider.ENABLE_BANKING, OPERATION, EbAspspsAnswer, answer.body).aspsps
    return {
        "aspsps": [
            to_plain({key: row[key] for key in row if key in _FIELDS})
            for row in rows
            if isinstance(row, dict)
        ]
    }
