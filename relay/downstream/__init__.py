"""From an accepted connection to its 101, or to its refusal."""
