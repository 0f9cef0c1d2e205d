"""The workload `sql`: the user's own statements, as YAML or as scripts of pgbench."""
