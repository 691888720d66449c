r"""The tables, and nothing else: no query, no connection, no environment.

``highlevel`` is for analysts, ``etl`` for operation. Every table and column carries a comment, which Alembic turns into
``COMMENT ON``, so that ``\d+`` in psql explains the warehouse.
"""

from etl.models.base import Base
from etl.models.highlevel import *
from etl.models.operation import *
