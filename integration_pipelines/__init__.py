"""Venue integrations: from the providers' APIs to one Postgres, as Dagster assets."""
