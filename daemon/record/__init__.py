"""Measuring in fixed memory, and carrying the measurements between processes."""
