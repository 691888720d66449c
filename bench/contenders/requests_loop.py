"""Fetches with ``requests`` and throws every answer away: nothing that uses it and stores anything can be faster."""

from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter

from bench.contenders.assignment import Assignment


def main() -> None:
    assignment = Assignment.read()
    with assignment.timed():
        session = requests.Session()
        session.headers.update(assignment.headers)
        session.mount("http://", HTTPAdapter(pool_maxsize=assignment.concurrency))

        def fetch(message_id: str) -> None:
            response = session.get(assignment.url_of(message_id), timeout=30)
            response.raise_for_status()
            response.json()

        with ThreadPoolExecutor(assignment.concurrency) as pool:
            for _ in pool.map(fetch, assignment.ids):
                pass


if __name__ == "__main__":
    main()
