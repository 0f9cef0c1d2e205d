"""The workload `progress`: users that work towards the goals of challenges, one event at a time."""
