"""HTTP/1 heads, read by hand: bytes in, values out."""
