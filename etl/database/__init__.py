"""What the database is: connections, transactions, migrations, roles, views, the embedded server, Citus."""
