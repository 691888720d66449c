"""The benchmark: measures the product beside what it could have been. Prints tables; nothing in ``etl`` imports it."""
