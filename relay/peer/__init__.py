"""One WebSocket side of a session: Autobahn made safe for a relay."""
