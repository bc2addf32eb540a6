"""Calls of the functions of schema api over HTTP, in PostgREST's wire format."""
