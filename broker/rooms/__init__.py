"""Who gets an event: the actors of rooms and namespaces, targets, and rooms of users' types."""
