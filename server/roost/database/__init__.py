"""Everything that speaks to PostgreSQL: calls, listening, migrations, the embedded server."""
