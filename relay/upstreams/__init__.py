"""What an upstream is, what its answers mean, and which one is tried. Without I/O."""
