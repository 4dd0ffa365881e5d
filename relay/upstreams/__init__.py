"""What an upstream is, what its answers mean, and which one is tried: values in, values out."""
