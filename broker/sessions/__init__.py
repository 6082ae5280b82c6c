"""One client below Socket.IO: its transport, its heartbeat, and what waits for it."""
