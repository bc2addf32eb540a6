"""A run under load in which servers and the database are killed, and every client keeps count."""
