"""The providers. Adding one is a folder beside this file and a line here."""

from integration_pipelines.core.provider import Provider
from integration_pipelines.providers import mailchimp, quickbooks, square, stripe

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        stripe.PROVIDER,
        square.PROVIDER,
        mailchimp.PROVIDER,
        quickbooks.PROVIDER,
    )
}
