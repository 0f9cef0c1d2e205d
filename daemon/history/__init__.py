"""The history of runs: one SQLite file, written beside the load and read by reports."""
