"""Scenarios: what is run phase by phase, as files that people write."""
