"""Samples of a PostgreSQL server: what it does under the load, for versions 13 to 18."""
