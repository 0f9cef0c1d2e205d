"""soakd: a long-running database load daemon that measures truthfully."""

__version__ = "0.1.0"
