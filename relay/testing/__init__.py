"""Doubles to test an app around the relay with: no sockets, and no time but the test's."""
