"""A backend inside PostgreSQL for assistants that follow a person across devices."""

__version__ = "0.2.0"
