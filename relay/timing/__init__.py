"""Deadlines, fair turns, awaited callbacks, and the walls around them."""
