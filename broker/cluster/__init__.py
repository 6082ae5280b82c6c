"""This broker as one node of a cluster: what it asks of others, and what they ask of it."""
