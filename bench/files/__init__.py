"""Uploads, downloads, and folders that are kept in step."""
