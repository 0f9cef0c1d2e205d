"""Showing what happens while it happens: /metrics over HTTP and the samplers behind it."""
