"""The partitions: one a venue, the same for every asset.

One set over all providers, rather than a set a provider mapped to it: Dagster refuses a run over
assets of two partitions definitions, and one venue is to go from API to mart in one run. What it
costs: a venue that does not use a provider shows there as "missing" (grey), never as failed.
"""

import dagster as dg

VENUES = "venues"

venues = dg.DynamicPartitionsDefinition(name=VENUES)
