"""What the nodes of a cluster say to each other, in the formats of Node's own Redis adapters.

Messages in, bytes and channels out, and back. The broker's adapters carry them.
"""
