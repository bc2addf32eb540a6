"""The other end: keeps a folder in step with a workspace. Imports nothing of the server."""
