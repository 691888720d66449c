"""Fetches with the product's own client and throws every answer away: nothing that stores anything can be faster."""

import queue
import threading

from bench.contenders.assignment import Assignment
from etl.api.client import Call, Client
from etl.api.transport import Transport
from etl.kinds import messages


def main() -> None:
    assignment = Assignment.read()
    with assignment.timed():
        transport = Transport(base_url=assignment.base_url, pool_size=assignment.concurrency, user_agent="bare-loop")
        client = Client(transport, api_version=assignment.api_version)
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for message_id in assignment.ids:
            waiting.put(message_id)

        def fetch() -> None:
            while True:
                try:
                    message_id = waiting.get_nowait()
                except queue.Empty:
                    return
                messages.extract(Call(client, assignment.token), message_id)

        threads = [threading.Thread(target=fetch) for _ in range(assignment.concurrency)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
