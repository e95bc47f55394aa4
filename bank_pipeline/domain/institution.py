"""An institution: the bank behind a connection. Pure."""

from pydantic import BaseModel, ConfigDict

from bank_pipeline.domain.connection import Provider


class Institution(BaseModel):
    """
    A bank as one provider offers it.

    `history_days_max` and `consent_days_max` are None where the provider states no limit.
    `countries` are ISO 3166 alpha-2 codes.
    """

    model_config = ConfigDict(frozen=True)

    provider: Provider
    external_id: str
    name: str
    countries: tuple[str, ...]
    url: str | None = None
    is_oauth: bool | None = None
    history_days_max: int | None = None
    consent_days_max: int | None = None
