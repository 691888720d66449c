"""Stage 4: JSON to rows. Pure: no I/O, no clock, no SQLAlchemy, no requests."""
