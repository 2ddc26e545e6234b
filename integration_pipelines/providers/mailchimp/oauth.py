"""Which data centre an OAuth token belongs to."""

from collections.abc import Callable

from msgspec import Struct

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import AccessRevoked, MalformedResponse
from integration_pipelines.core.provider import Limits
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Response, Transport
from integration_pipelines.providers.mailchimp.client import DATA_CENTRE, NAME, OAUTH_BASE


class _Metadata(Struct):
    dc: str = ""
    error: str = ""


def data_centre(
    settings: Settings, token: str, make_transport: Callable[..., Transport], limits: Limits
) -> str:
    """The data centre, a strict label. Raises AccessRevoked on an invalid token, which is answered
    with status 200; MalformedResponse where the label is none."""

    def parse(response: Response) -> _Metadata:
        return bodies.decode(bodies.compact(response.body, NAME), _Metadata, NAME)

    with make_transport(
        base_url=settings.mailchimp_oauth_base or OAUTH_BASE,
        headers={"Authorization": f"OAuth {token}"},
        limits=limits,
    ) as transport:
        metadata = transport.request(
            "GET", "/oauth2/metadata", endpoint="GET /oauth2/metadata", parse=parse
        )
    if metadata.error:
        raise AccessRevoked(f"{NAME} refuses the token ({metadata.error}); reconnect the account")
    if not DATA_CENTRE.fullmatch(metadata.dc):
        raise MalformedResponse(f"{NAME} names no data centre for this token")
    return metadata.dc
