"""Conducting a run from beginning to end: the supervisor process."""
