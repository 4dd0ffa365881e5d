"""Pure: what the client of a session may say, what is added to it, and what is hidden from it."""
