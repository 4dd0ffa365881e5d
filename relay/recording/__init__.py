"""Recordings of sessions: how they are written, read, and served again."""
