"""Several processes that serve sessions, under one that holds their sockets and speaks for all."""
