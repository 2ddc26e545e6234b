"""What opens a QuickBooks company."""

import re
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

REALM_ID = re.compile(r"[0-9]{1,20}")


class QuickBooksCredentials(BaseModel):
    """What opens a company: an OAuth access token, what renews it, and the company's realm. When
    the tokens end is a time or Unix seconds."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    access_token: SecretStr = SecretStr("")
    refresh_token: SecretStr | None = None
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    realm_id: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.access_token.get_secret_value():
            raise ValueError("give access_token, as Intuit's token endpoint answered it")
        if not REALM_ID.fullmatch(self.realm_id):
            raise ValueError(
                "give realm_id: the digits that Intuit calls realmId when a company consents"
            )
        return self

    @property
    def token(self) -> str:
        """The bearer token of every request."""
        return self.access_token.get_secret_value()
