"""What the operator can say, and finding it."""
