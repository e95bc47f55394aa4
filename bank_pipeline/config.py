"""All configuration, read from the environment once, at the edge."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

SANDBOX_URL: Final = "http://127.0.0.1:4510"
"""Where `bank-pipeline sandbox serve` listens unless told otherwise."""


class Environment(StrEnum):
    """Which of a provider's worlds we talk to."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


class LinkPlace(StrEnum):
    """Where Plaid's customers choose their bank: on Plaid's own page, or within one of ours."""

    HOSTED = "hosted"
    EMBEDDED = "embedded"


class TellerEnvironment(StrEnum):
    """Teller's environments: one host, and the token decides. Development has real banks."""

    SANDBOX = "sandbox"
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    """How lines are written. AUTO: for a terminal as people read them, else as JSON."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least grave lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_PREFIX: Final = "BANK_PIPELINE_"
_NOT_SETTINGS: Final = frozenset(
    {f"{_PREFIX}DAGSTER_URL", f"{_PREFIX}COMPUTE_LOGS", f"{_PREFIX}IMAGE"}
)
"""What we tell Dagster, and Kubernetes is told of us."""
_BELONG_TOGETHER: Final = (
    ("PLAID_CLIENT_ID", "PLAID_SECRET"),
    ("GOCARDLESS_SECRET_ID", "GOCARDLESS_SECRET_KEY"),
    ("TELLER_CERT_PATH", "TELLER_KEY_PATH"),
    ("TELLER_CERT_BASE64", "TELLER_KEY_BASE64"),
)
_KEY_SOURCES: Final = ("encryption_key", "encryption_key_file", "encryption_key_command")
_REDIS_URLS: Final = (
    ("broker_url", ("redis://", "rediss://")),
    ("redis_url", ("redis://", "rediss://", "unix://")),
)
_EITHER_OR: Final = (
    ("ENABLE_BANKING_KEY_PATH", "ENABLE_BANKING_KEY_BASE64"),
    ("TELLER_CERT_PATH", "TELLER_CERT_BASE64"),
)
_PATHS: Final = (
    *("state_dir", "encryption_key_file", "enable_banking_key_path"),
    *("teller_cert_path", "teller_key_path", "teller_ca_path"),
)


class Settings(BaseSettings):
    """
    BANK_PIPELINE_* variables, and the providers' under the names their own guides use.

    Every provider is optional: without its variables it is off, and says so in `doctor`.
    A malformed variable stops the process at start.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=".env",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    state_dir: Path = Path(".bank-pipeline")
    """One folder for all local state: the embedded database, the key, the cache, logs."""
    database_url: SecretStr | None = None
    """postgresql://… of an external PostgreSQL 15 or newer; unset means the embedded one."""
    dagster_database_url: SecretStr | None = None
    """Database of Dagster's instance; unset means schema `dagster` in the same database."""
    encryption_key: SecretStr | None = None
    """32 bytes in base64 that seal what is stored; several, comma-separated: the first seals."""
    encryption_key_file: Path | None = None
    """A file with such keys, one a line; unset means one in `state_dir`, made on first use."""
    encryption_key_command: SecretStr | None = None
    """A command that prints them, run without a shell, such as one that asks a secret store."""
    redis_url: SecretStr | None = None
    """Cache shared by several machines; unset means files in `state_dir`."""
    broker_url: SecretStr | None = None
    """redis://… that carries runs to warm workers, here or elsewhere; unset: a process each."""
    clock_url: str | None = None
    """The sandbox's virtual clock (GET, JSON `now`); only where nothing is production."""
    sync_threads: int = Field(default=8, ge=1, le=64)
    """Connections synced side by side within one run."""
    webhook_wait_s: float = Field(default=9.0, ge=0, le=30)
    """How long a tick of the sensor of webhooks waits for one; 0 only looks."""
    provider_timeout_s: float = Field(default=60.0, gt=0, le=600)
    """Longest silence of a provider: a first full page may be slow."""
    raw_retention_days: int = Field(default=90, ge=1)
    """How long the providers' answers, and webhooks that were handled, are kept."""
    sync_run_retention_days: int = Field(default=400, ge=1)
    """How long syncs that changed nothing, and former states of connections, are kept."""
    event_retention_days: int = Field(default=14, ge=1)
    """How long Dagster's events and step logs of finished runs are kept; the newest state stays."""
    run_retention_days: int = Field(default=60, ge=1)
    """How long Dagster's runs stay on its list once their events are gone."""
    log_format: LogFormat = LogFormat.AUTO
    """How the gateway, workers and commands write their log: auto, json or console."""
    log_level: LogLevel | None = None
    """Unset means info for the gateway and for workers, warning for other commands."""
    metrics_token: SecretStr | None = None
    """Whoever asks for /metrics must send it; unset means that everybody may."""
    gateway_url: str | None = Field(default=None, pattern=r"^(https?://\S+)?$")
    """Public base URL under which providers reach the gateway's webhooks."""
    renewal_url: str | None = Field(default=None, pattern=r"^https?://\S*\{connection_id\}\S*$")
    """Your page where customers renew a consent; `{connection_id}` in it is filled in. Unset
    means the gateway's own page."""

    plaid_client_id: str | None = Field(default=None, alias="PLAID_CLIENT_ID")
    plaid_secret: SecretStr | None = Field(default=None, alias="PLAID_SECRET")
    plaid_env: Environment = Field(default=Environment.SANDBOX, alias="PLAID_ENV")
    plaid_base_url: str | None = Field(default=None, alias="PLAID_BASE_URL")
    """Another host than Plaid's own, such as our sandbox; never with PLAID_ENV=production."""
    plaid_country_codes: str = Field(
        default="US",
        alias="PLAID_COUNTRY_CODES",
        pattern=r"^\s*[A-Za-z]{2}(\s*,\s*[A-Za-z]{2})*\s*$",
    )
    plaid_language: str = Field(default="en", alias="PLAID_LANGUAGE")
    plaid_client_name: str = Field(
        default="bank_pipeline", alias="PLAID_CLIENT_NAME", max_length=30
    )
    plaid_redirect_uri: str | None = Field(default=None, alias="PLAID_REDIRECT_URI")
    plaid_link: LinkPlace = Field(default=LinkPlace.HOSTED, alias="PLAID_LINK")
    """Where customers choose their bank: on Plaid's page, or in one of the gateway."""
    plaid_link_url: str | None = Field(default=None, alias="PLAID_LINK_URL")
    """Another Link script than Plaid's own; never with PLAID_ENV=production."""
    plaid_days_requested: int = Field(default=730, ge=1, le=730, alias="PLAID_DAYS_REQUESTED")

    gocardless_secret_id: str | None = Field(default=None, alias="GOCARDLESS_SECRET_ID")
    gocardless_secret_key: SecretStr | None = Field(default=None, alias="GOCARDLESS_SECRET_KEY")
    gocardless_redirect_url: str | None = Field(default=None, alias="GOCARDLESS_REDIRECT_URL")
    """Where customers come back to; unset means the gateway's own page."""
    gocardless_base_url: str | None = Field(default=None, alias="GOCARDLESS_BASE_URL")

    enable_banking_application_id: str | None = Field(
        default=None, alias="ENABLE_BANKING_APPLICATION_ID"
    )
    enable_banking_key_path: Path | None = Field(default=None, alias="ENABLE_BANKING_KEY_PATH")
    """The application's private key, a PEM file; or the same in base64:"""
    enable_banking_key_base64: SecretStr | None = Field(
        default=None, alias="ENABLE_BANKING_KEY_BASE64"
    )
    enable_banking_redirect_url: str | None = Field(
        default=None, alias="ENABLE_BANKING_REDIRECT_URL"
    )
    """Exactly one of the application's allowed URLs; unset means the gateway's own page."""
    enable_banking_base_url: str | None = Field(default=None, alias="ENABLE_BANKING_BASE_URL")

    teller_application_id: str | None = Field(default=None, alias="TELLER_APPLICATION_ID")
    teller_environment: TellerEnvironment = Field(
        default=TellerEnvironment.SANDBOX, alias="TELLER_ENVIRONMENT"
    )
    teller_cert_path: Path | None = Field(default=None, alias="TELLER_CERT_PATH")
    teller_key_path: Path | None = Field(default=None, alias="TELLER_KEY_PATH")
    teller_cert_base64: SecretStr | None = Field(default=None, alias="TELLER_CERT_BASE64")
    teller_key_base64: SecretStr | None = Field(default=None, alias="TELLER_KEY_BASE64")
    teller_signing_secret: SecretStr | None = Field(default=None, alias="TELLER_SIGNING_SECRET")
    """Secrets that sign webhooks, comma-separated while one replaces another."""
    teller_token_signing_key: SecretStr | None = Field(
        default=None, alias="TELLER_TOKEN_SIGNING_KEY"
    )
    """ED25519 public key in base64 that signs what Teller Connect hands over."""
    teller_base_url: str | None = Field(default=None, alias="TELLER_BASE_URL")
    teller_connect_url: str | None = Field(default=None, alias="TELLER_CONNECT_URL")
    """Another Teller Connect script than Teller's own."""
    teller_ca_path: Path | None = Field(default=None, alias="TELLER_CA_PATH")
    """Certificate authority of another host than Teller's."""

    @field_validator("*", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: object, info: ValidationInfo) -> object:
        """Read `NAME=` as "not set", as people mean it who leave a line in their .env."""
        if value == "" and info.field_name is not None:
            return cls.model_fields[info.field_name].get_default()
        return value

    @field_validator(*_PATHS)
    @classmethod
    def _tilde_is_the_home(cls, value: Path | None) -> Path | None:
        """Read `~` as a shell does: no shell reads a .env file or a unit."""
        try:
            return None if value is None else value.expanduser()
        except RuntimeError:
            raise ValueError("~ names no home folder here: write the path out") from None

    @model_validator(mode="after")
    def _keys_have_one_source(self) -> "Settings":
        given = [name for name in _KEY_SOURCES if getattr(self, name) is not None]
        if len(given) > 1:
            names = " and ".join(f"BANK_PIPELINE_{name.upper()}" for name in given)
            raise ValueError(f"{names} say twice where the keys are: set one of them")
        return self

    @model_validator(mode="after")
    def _redis_is_named_by_urls(self) -> "Settings":
        for name, schemes in _REDIS_URLS:
            url = getattr(self, name)
            if url is not None and not _is_url(url.get_secret_value(), schemes):
                raise ValueError(
                    f"BANK_PIPELINE_{name.upper()} must begin with {' or '.join(schemes)}, and be "
                    "a URL: in a password, / is written %2F, and so on"
                )
        return self

    @model_validator(mode="after")
    def _production_talks_to_the_real_world(self) -> "Settings":
        is_other = self.plaid_base_url or self.plaid_link_url or self.clock_url
        if self.plaid_env is Environment.PRODUCTION and is_other:
            raise ValueError(
                "PLAID_ENV=production cannot be combined with PLAID_BASE_URL, PLAID_LINK_URL or "
                "BANK_PIPELINE_CLOCK_URL: unset them, or set PLAID_ENV=sandbox"
            )
        if self.clock_url is not None and (real := self._real_providers()):
            raise ValueError(
                f"BANK_PIPELINE_CLOCK_URL is a simulation's clock, but {' and '.join(real)} talks "
                "to real banks: unset it, or set the provider's *_BASE_URL to the simulation"
            )
        return self

    @model_validator(mode="after")
    def _providers_whole_or_not_at_all(self) -> "Settings":
        for names in _BELONG_TOGETHER:
            missing = [name for name in names if self._value_of(name) is None]
            if missing and len(missing) < len(names):
                raise ValueError(f"{' and '.join(names)} belong together: set all or none")
        for one, other in _EITHER_OR:
            if self._value_of(one) is not None and self._value_of(other) is not None:
                raise ValueError(f"{one} and {other} say the same twice: set one of them")
        if self.enable_banking_application_id is not None and not self._has_enable_banking_key:
            raise ValueError(
                "ENABLE_BANKING_APPLICATION_ID needs its private key: set "
                "ENABLE_BANKING_KEY_PATH or ENABLE_BANKING_KEY_BASE64"
            )
        return self

    @property
    def is_plaid_embedded(self) -> bool:
        """Say whether Plaid Link runs in a page of the gateway."""
        return self.plaid_link is LinkPlace.EMBEDDED

    @property
    def is_gocardless_configured(self) -> bool:
        """Say whether GoCardless Bank Account Data is switched on."""
        return self.gocardless_secret_id is not None

    @property
    def is_enable_banking_configured(self) -> bool:
        """Say whether Enable Banking is switched on."""
        return self.enable_banking_application_id is not None

    @property
    def is_teller_configured(self) -> bool:
        """Say whether Teller is switched on."""
        return self.teller_application_id is not None

    @property
    def _has_enable_banking_key(self) -> bool:
        return self.enable_banking_key_path is not None or (
            self.enable_banking_key_base64 is not None
        )

    def _real_providers(self) -> list[str]:
        """Name the configured providers whose banks are no simulation."""
        is_real = {
            "GoCardless": self.is_gocardless_configured and not self.gocardless_base_url,
            "Enable Banking": self.is_enable_banking_configured
            and not self.enable_banking_base_url,
            "Teller": self.is_teller_configured and not self.teller_base_url,
        }
        return [name for name, real in is_real.items() if real]

    def _value_of(self, alias: str) -> object:
        return getattr(self, alias.lower())

    @property
    def is_plaid_configured(self) -> bool:
        """Say whether Plaid is switched on."""
        return self.plaid_client_id is not None


def find_unknown() -> list[str]:
    """
    Name the variables that begin as ours do and are no settings, in the environment and in `.env`.

    They are ignored: whoever misspelt one goes on with what is usual, such as another database.
    """
    env_file = DotEnvSettingsSource(Settings).env_vars
    given = {name.upper() for name in (*os.environ, *env_file)}
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields} | _NOT_SETTINGS
    return sorted(name for name in given - known if name.startswith(_PREFIX))


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    """Say whether it begins so, and its port is a number; what it says instead may be secret."""
    try:
        urlsplit(text).port  # noqa: B018 - reading it is the question
    except ValueError:
        return False
    return text.startswith(schemes)
