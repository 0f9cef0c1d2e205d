"""What a run came to: figures over a span of time, the summary and how it is shown."""
