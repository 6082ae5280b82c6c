"""Conformance: what goes over the wire, and what the real clients make of it.

`pytest tests/conformance` runs against our own server; with `--peer=node` (or `ATRIO_PEER=node` in
the environment) the same rows run against Node's, which shows that the rows are true. The real
clients come with `npm ci` in this directory.
"""
