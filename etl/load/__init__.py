"""Stage 5: rows into the tables that analysts read. Nothing here commits: the caller owns the transaction."""
