"""What the operator can set, and how it is found and checked."""
