"""How a database comes to its tables: one chain of revisions for SQLite and PostgreSQL."""
