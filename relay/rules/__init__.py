"""Pure tables and small rules: no I/O, no Twisted."""
