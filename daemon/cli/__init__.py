"""The commands: they read what was asked for, call what does it, and show what came of it."""
