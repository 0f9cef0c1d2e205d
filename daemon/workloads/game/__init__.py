"""The workload `game`: a game server's players, games, sessions, memberships and events, with JSON."""
