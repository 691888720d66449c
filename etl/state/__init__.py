"""Every SQL statement on the schema ``etl``, one module a table. Nothing here commits."""
