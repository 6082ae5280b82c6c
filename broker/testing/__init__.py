"""Clients for tests of programs: `broker.test_client()`, and what carries its bytes."""
