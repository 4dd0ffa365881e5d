"""The open pair: what crosses between its two sides, and how."""
