"""Listeners and HTTP: which session a request is for, or why none."""
