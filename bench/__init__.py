"""Speed and memory of soakd, side by side with the fastest simple way to do the same."""
