"""How messages cross an open session."""
