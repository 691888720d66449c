"""The same messages through dlt: a transformer with ``defer``, merged into Postgres, set up as its docs advise.

https://dlthub.com/docs/examples/transformers and https://dlthub.com/docs/general-usage/merge-loading
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import make_url

from bench.contenders.assignment import Assignment

PAGE = 1000
"""Ids that the resource yields at once; dlt's docs advise pages rather than rows."""


def main() -> None:
    assignment = Assignment.read()
    os.environ |= {
        "EXTRACT__WORKERS": str(assignment.concurrency),
        "EXTRACT__MAX_PARALLEL_ITEMS": str(assignment.concurrency * 2),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
    # dlt reads its environment when it is imported.
    import dlt  # noqa: PLC0415
    from dlt.sources.helpers import requests  # noqa: PLC0415

    @dlt.resource(selected=False)
    def ids() -> Iterator[list[str]]:
        for start in range(0, len(assignment.ids), PAGE):
            yield assignment.ids[start : start + PAGE]

    @dlt.transformer(data_from=ids, write_disposition=DISPOSITION, primary_key="id")
    def messages(page: list[str]) -> Iterator[Callable[[], dict[str, Any]]]:
        @dlt.defer
        def fetch(message_id: str) -> dict[str, Any]:
            answer = requests.get(assignment.url_of(message_id), headers=assignment.headers).json()
            message: dict[str, Any] = answer.get("message", answer)
            return message

        for message_id in page:
            yield fetch(message_id)

    pipeline = dlt.pipeline(
        "messages",
        pipelines_dir=assignment.directory,
        destination=dlt.destinations.postgres(_with_host(assignment.database_url)),
        dataset_name="by_dlt",
    )
    with assignment.timed():
        pipeline.run(messages).raise_on_failed_jobs()


def _with_host(url: str) -> str:
    """Return the URL with the host that dlt insists on; libpq prefers the socket directory in its query."""
    return make_url(url).set(host="localhost", password="-").render_as_string(hide_password=False)  # noqa: S106 - a socket needs none


DISPOSITION = {"disposition": "merge", "strategy": "upsert"}
"""The faster of dlt's two merges into Postgres (measured)."""


if __name__ == "__main__":
    main()
