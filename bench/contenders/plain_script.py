"""What one writes in an afternoon: a thread pool, one upsert and one commit a message, no queue and no second table."""

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import psycopg
import requests
from psycopg.types.json import Jsonb
from requests.adapters import HTTPAdapter

from bench.contenders.assignment import Assignment

TABLE = """
    CREATE SCHEMA IF NOT EXISTS plain;
    CREATE TABLE IF NOT EXISTS plain.messages (
        message_id text PRIMARY KEY, location_id text, conversation_id text, contact_id text, message_type text,
        direction text, status text, body text, date_added timestamptz, date_updated timestamptz, payload jsonb
    )
"""

UPSERT = """
    INSERT INTO plain.messages (message_id, location_id, conversation_id, contact_id, message_type,
                                direction, status, body, date_added, date_updated, payload)
    VALUES (%(id)s, %(locationId)s, %(conversationId)s, %(contactId)s, %(messageType)s,
            %(direction)s, %(status)s, %(body)s, %(dateAdded)s, %(dateUpdated)s, %(payload)s)
    ON CONFLICT (message_id) DO UPDATE SET
        location_id = excluded.location_id, conversation_id = excluded.conversation_id,
        contact_id = excluded.contact_id, message_type = excluded.message_type, direction = excluded.direction,
        status = excluded.status, body = excluded.body, date_added = excluded.date_added,
        date_updated = excluded.date_updated, payload = excluded.payload
"""


def main() -> None:
    assignment = Assignment.read()
    with assignment.timed():
        session = requests.Session()
        session.headers.update(assignment.headers)
        session.mount("http://", HTTPAdapter(pool_maxsize=assignment.concurrency))
        with psycopg.connect(assignment.database_url) as connection:
            connection.execute(TABLE)
        local = threading.local()

        def load(message_id: str) -> None:
            response = session.get(assignment.url_of(message_id), timeout=30)
            response.raise_for_status()
            answer = response.json()
            message = answer.get("message", answer)
            if not hasattr(local, "connection"):
                local.connection = psycopg.connect(assignment.database_url)
            local.connection.execute(UPSERT, defaultdict(lambda: None, message, payload=Jsonb(message)))
            local.connection.commit()

        with ThreadPoolExecutor(assignment.concurrency) as pool:
            for _ in pool.map(load, assignment.ids):
                pass


if __name__ == "__main__":
    main()
