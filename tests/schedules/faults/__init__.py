"""Faults to be planted in the broker: each is what a plausible mistake would make of it.

A fault is a context manager; in its block one method of the broker is a wrong one. Its docstring
says what it breaks. A storm that does not find the fault it is responsible for is too weak.
"""
