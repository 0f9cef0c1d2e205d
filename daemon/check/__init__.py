"""Find out whether a run could work, without load and without changing anything in the target."""
