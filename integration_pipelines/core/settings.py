"""Settings: the environment, read once and validated; every other module is passed values.

`.env.example` documents each variable; a test holds the two together.
"""

import os
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from integration_pipelines.core.errors import ConfigurationError

OUR_PREFIXES = ("STRIPE_", "SQUARE_", "MAILCHIMP_", "QUICKBOOKS_", "OIDC_", "JWT_")


class AppEnv(StrEnum):
    """Where this runs; production refuses what is only for development."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """All variables of the contract. Field ``x`` is the environment variable ``X``."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    app_env: AppEnv = AppEnv.DEVELOPMENT
    database_url: SecretStr | None = None
    data_dir: Path = Path(".data")

    stripe_secret_key: SecretStr | None = None
    stripe_client_id: str | None = None
    stripe_webhook_secret: SecretStr | None = None
    stripe_api_base: str | None = None

    square_app_id: str | None = None
    square_app_secret: SecretStr | None = None
    square_access_token: SecretStr | None = None
    square_webhook_signature_key: SecretStr | None = None
    square_sandbox: bool = False
    square_api_base: str | None = None

    mailchimp_client_id: str | None = None
    mailchimp_client_secret: SecretStr | None = None
    mailchimp_api_base: str | None = None
    mailchimp_oauth_base: str | None = None

    quickbooks_client_id: str | None = None
    quickbooks_client_secret: SecretStr | None = None
    quickbooks_webhook_token: SecretStr | None = None
    quickbooks_sandbox: bool = False
    quickbooks_monthly_reads: int = Field(default=500_000, gt=0)
    quickbooks_api_base: str | None = None
    quickbooks_oauth_base: str | None = None

    kms_key_id: str | None = None
    aws_region: str | None = None
    aws_endpoint_url_kms: str | None = None
    local_key_file: Path | None = None

    jwt_secret: SecretStr | None = None
    jwt_public_key: str | None = None
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    public_base_url: str = Field(default="http://127.0.0.1:8080", pattern=r"^https?://[^/]+$")
    webhook_base_url: str | None = Field(default=None, pattern=r"^https?://[^/]+$")
    data_docs_url: str | None = Field(default=None, pattern=r"^https?://[^/]+(/.*[^/])?$")
    metrics_token: SecretStr | None = Field(default=None, min_length=16)
    webhook_payload_days: int = Field(default=30, ge=1, le=3_650)
    sync_log_days: int = Field(default=400, ge=30, le=3_650)
    trusted_proxies: int = Field(default=0, ge=0, le=5)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if not name.endswith("_base") or value is None:
                continue
            if self.app_env is AppEnv.PRODUCTION:
                raise ValueError(
                    f"{name.upper()} points a client at another server and is refused in "
                    "production: unset it"
                )
            if not value.startswith(("http://", "https://")):
                raise ValueError(f"{name.upper()} must be a URL such as http://127.0.0.1:9000")
        if self.jwt_secret is not None and self.jwt_public_key is not None:
            raise ValueError("JWT_SECRET and JWT_PUBLIC_KEY are two ways: set one of them")
        if self.app_env is AppEnv.PRODUCTION:
            if not self.public_base_url.startswith("https://"):
                raise ValueError(
                    "PUBLIC_BASE_URL must be the https:// address of the portal in production: "
                    "over http anybody on the way could take a session"
                )
            if self.database_url is None:
                raise ValueError(
                    "DATABASE_URL is required in production: the embedded Postgres is for "
                    "development"
                )
            if self.kms_key_id is None and self.local_key_file is None:
                raise ValueError(
                    "KMS_KEY_ID is required in production (or name LOCAL_KEY_FILE to seal "
                    "credentials with a key kept on this machine)"
                )
        return self

    @cached_property
    def data_path(self) -> Path:
        """DATA_DIR, absolute."""
        return self.data_dir.expanduser().absolute()

    @property
    def data_docs_path(self) -> Path:
        """Where Great Expectations writes what it found; DATA_DOCS_URL is where that is served."""
        return self.data_path / "data_docs"

    @property
    def local_key_path(self) -> Path:
        """Where a local wrapping key stands: LOCAL_KEY_FILE, or under DATA_DIR."""
        return self.local_key_file or self.data_path / "vault.key"


def load_settings() -> Settings:
    """Settings from the environment and `.env`. Raises ConfigurationError naming each culprit."""
    known = {name.upper() for name in Settings.model_fields}
    unknown = sorted(
        name
        for name, value in os.environ.items()
        if value and name.startswith(OUR_PREFIXES) and name not in known
    )
    if unknown:
        raise ConfigurationError(
            f"unknown setting {', '.join(unknown)}: see .env.example for the names that exist"
        )
    try:
        return Settings()
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in problem["loc"]).upper()
            message = problem["msg"].removeprefix("Value error, ")
            problems.append(f"{name}: {message}" if name else message)
        raise ConfigurationError("; ".join(problems)) from None
