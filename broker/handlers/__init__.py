"""Functions of users: how they are registered, what they take, and how one is called."""
