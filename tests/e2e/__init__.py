"""Tests of the whole program: real processes, real databases, real signals."""
