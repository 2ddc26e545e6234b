"""What opens a Square account."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator


class SquareCredentials(BaseModel):
    """What opens an account: a personal access token, or one of OAuth with what renews it."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    access_token: SecretStr
    refresh_token: SecretStr | None = None
    expires_at: datetime | None = None
    merchant_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _has_a_token(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("access_token"):
            raise ValueError(
                "give access_token (EAAA…): the application's own from Square's developer "
                "console, or the one that OAuth granted"
            )
        return given

    @property
    def token(self) -> str:
        """The bearer token of every request."""
        return self.access_token.get_secret_value()
