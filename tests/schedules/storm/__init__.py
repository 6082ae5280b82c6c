"""What the storms are made of: raw clients, the ledger of promises, the census, the storms.

A storm is `async def storm(sim)`: a broker on a simulated network, and clients and tasks of the
server that do what the run draws, at the moments it draws. `tests/schedules/test_storm_*.py` runs
them; `tests/schedules/faults` breaks the broker to see that they can fail.
"""
