"""All Dagster code, blind to providers: assets, jobs, checks, sensors, schedules."""
