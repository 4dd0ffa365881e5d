"""What is told of holds and sessions, and what is counted."""
