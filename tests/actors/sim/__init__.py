"""The simulation: its engine, its network, its reports."""
