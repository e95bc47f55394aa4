"""All configuration, read from the environment once, at the edge."""

from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SANDBOX_URL: Final = "http://127.0.0.1:4510"
"""Where `bank-pipeline sandbox serve` listens unless told otherwise."""


class Environment(StrEnum):
    """Which of a provider's worlds we talk to."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """
    BANK_PIPELINE_* variables, and PLAID_* under the names Plaid's own guides use.

    Every provider is optional: without its variables it is off, and says so in `doctor`.
    A malformed variable stops the process at start.
    """

    model_config = SettingsConfigDict(
        env_prefix="BANK_PIPELINE_",
        env_file=".env",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    state_dir: Path = Path(".bank-pipeline")
    """One folder for all local state: the embedded database, logs, the key. Deletable at will."""
    database_url: SecretStr | None = None
    """postgresql://… of an external PostgreSQL 15 or newer; unset means the embedded one."""
    dagster_database_url: SecretStr | None = None
    """Database of Dagster's instance; unset means schema `dagster` in the same database."""
    encryption_key: SecretStr | None = None
    """32 bytes in base64 that encrypt credentials; unset means a key file in `state_dir`."""
    redis_url: SecretStr | None = None
    """Cache shared by several machines; unset means files in `state_dir`."""
    clock_url: str | None = None
    """The sandbox's virtual clock (GET, JSON `now`); only where nothing is production."""
    sync_threads: int = Field(default=8, ge=1, le=64)
    """Connections synced side by side within one run."""
    provider_timeout_s: float = Field(default=60.0, gt=0, le=600)
    """Longest silence of a provider: a first full page may be slow."""
    raw_retention_days: int = Field(default=90, ge=1)
    """How long the providers' answers, and webhooks that were handled, are kept."""
    gateway_url: str | None = None
    """Public base URL under which providers reach the gateway's webhooks."""

    plaid_client_id: str | None = Field(default=None, alias="PLAID_CLIENT_ID")
    plaid_secret: SecretStr | None = Field(default=None, alias="PLAID_SECRET")
    plaid_env: Environment = Field(default=Environment.SANDBOX, alias="PLAID_ENV")
    plaid_base_url: str | None = Field(default=None, alias="PLAID_BASE_URL")
    """Another host than Plaid's own, such as our sandbox; never with PLAID_ENV=production."""
    plaid_country_codes: str = Field(default="US", alias="PLAID_COUNTRY_CODES")
    plaid_language: str = Field(default="en", alias="PLAID_LANGUAGE")
    plaid_client_name: str = Field(
        default="bank_pipeline", alias="PLAID_CLIENT_NAME", max_length=30
    )
    plaid_redirect_uri: str | None = Field(default=None, alias="PLAID_REDIRECT_URI")
    plaid_days_requested: int = Field(default=730, ge=1, le=730, alias="PLAID_DAYS_REQUESTED")

    @field_validator("*", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: object, info: ValidationInfo) -> object:
        """Read `NAME=` as "not set", as people mean it who leave a line in their .env."""
        if value == "" and info.field_name is not None:
            return cls.model_fields[info.field_name].get_default()
        return value

    @model_validator(mode="after")
    def _production_talks_to_the_real_world(self) -> "Settings":
        if self.plaid_env is Environment.PRODUCTION and (self.plaid_base_url or self.clock_url):
            raise ValueError(
                "PLAID_ENV=production cannot be combined with PLAID_BASE_URL or "
                "BANK_PIPELINE_CLOCK_URL: unset them, or set PLAID_ENV=sandbox"
            )
        return self

    @model_validator(mode="after")
    def _plaid_whole_or_not_at_all(self) -> "Settings":
        if (self.plaid_client_id is None) != (self.plaid_secret is None):
            raise ValueError(
                "PLAID_CLIENT_ID and PLAID_SECRET belong together: set both or neither"
            )
        return self

    @property
    def is_plaid_configured(self) -> bool:
        """Say whether Plaid is switched on."""
        return self.plaid_client_id is not None
