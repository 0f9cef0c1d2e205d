"""Reports: one run of the history as a page, a text, a table, or data for other programs."""
