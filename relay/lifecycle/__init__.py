"""What is open, and how all of it ends."""
