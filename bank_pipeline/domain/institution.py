"""An institution: the bank behind a connection. Pure."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from bank_pipeline.domain.connection import Provider


class CustomerKind(StrEnum):
    """Whose login it is, where a bank keeps those of persons and of companies apart."""

    PERSONAL = "personal"
    BUSINESS = "business"


class Institution(BaseModel):
    """
    A bank as one provider offers it.

    `countries` are ISO 3166 alpha-2 codes. `history_days_max` and `consent_days_max` are None
    where the provider states no limit. `customer_kinds` are the kinds of customer it is
    offered for (`personal`, `business`), empty where the provider does not say. `is_oauth`
    says that customers log in at the bank itself.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    provider: Provider
    external_id: str = Field(min_length=1)
    name: str
    countries: tuple[str, ...]
    bic: str | None = None
    url: str | None = None
    logo_url: str | None = None
    is_oauth: bool | None = None
    is_beta: bool | None = None
    customer_kinds: tuple[str, ...] = ()
    history_days_max: int | None = None
    consent_days_max: int | None = None
