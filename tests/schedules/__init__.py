"""The yardstick of the simulation: programs with known bugs, and how soon each is found."""
