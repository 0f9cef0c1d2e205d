"""Tests of soakd."""
