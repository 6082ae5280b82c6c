"""One session's sockets, from CONNECT to the last hook, and the namespaces they are in."""
