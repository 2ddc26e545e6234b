"""What opens a Stripe account."""

from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator


class StripeCredentials(BaseModel):
    """What opens an account: its secret or restricted key, or an OAuth access token."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    api_key: SecretStr | None = None
    access_token: SecretStr | None = None
    stripe_user_id: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.api_key) == bool(self.access_token):
            raise ValueError("give api_key (sk_… or rk_…) or access_token, and not both")
        return self

    @property
    def token(self) -> str:
        """The bearer token of every request."""
        secret = self.api_key or self.access_token
        assert secret is not None
        return secret.get_secret_value()

    @property
    def livemode(self) -> bool:
        """Whether this key opens live data rather than a sandbox's."""
        return "_test_" not in self.token
