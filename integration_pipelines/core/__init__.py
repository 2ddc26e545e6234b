"""What every provider shares. Imports neither Dagster nor Flask; names no provider."""
