"""The query lab: how long each query of a workload takes by itself, and why."""
