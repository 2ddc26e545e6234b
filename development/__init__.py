"""What runs the project on one machine: `make demo` and `make dev`. Nothing imports it."""
