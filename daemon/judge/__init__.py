"""Judging a run by its figures: thresholds, and the state that the target is in. Pure: no clock, no I/O."""
