"""What opens a Mailchimp account."""

import base64
from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from integration_pipelines.providers.mailchimp.client import DATA_CENTRE


class MailchimpCredentials(BaseModel):
    """What opens an account: an API key, or an OAuth access token. ``dc`` is the data centre, such
    as us21: the end of a key, and asked for where a token comes without."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    api_key: SecretStr | None = None
    access_token: SecretStr | None = None
    dc: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.api_key) == bool(self.access_token):
            raise ValueError("give api_key (…-us21) or access_token, and not both")
        if self.dc is None and self.api_key is not None:
            self.dc = self.api_key.get_secret_value().rpartition("-")[2]
        if self.dc is not None and not DATA_CENTRE.fullmatch(self.dc):
            raise ValueError(
                "the data centre is to be letters and digits, such as us21: give dc, or the whole "
                "api_key with its end"
            )
        return self

    @property
    def authorization(self) -> str:
        """The header of every request."""
        if self.access_token is not None:
            return f"Bearer {self.access_token.get_secret_value()}"
        assert self.api_key is not None
        pair = f"venue:{self.api_key.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
