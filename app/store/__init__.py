"""The store: executions, their journals, definitions and keys, on SQLite or PostgreSQL."""
