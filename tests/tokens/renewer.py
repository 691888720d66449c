"""A process that renews a location's token whenever it is told to, and dies in the worst moment when told so.

Reads lines: ``renew`` or ``die``. Answers each with a line: how many refresh requests it sent.
"""

import json
import os
import signal
import sys
from typing import Any

from etl.api.oauth import Grant, OAuth
from etl.api.transport import Transport
from etl.config.logging_setup import configure
from etl.database.connections import open_engine
from etl.tokens.renewal import Renewal, RenewalFailedError
from etl.tokens.vault import Vault


class Mortal(OAuth):
    """Dies between the answer of the token endpoint and the commit."""

    dies = False
    sent = 0

    def refresh(self, *arguments: Any, **named: Any) -> Grant:
        self.sent += 1
        grant = super().refresh(*arguments, **named)
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return grant


def main() -> None:
    # Answers alone go to standard output.
    configure("error", "json")
    given = json.loads(sys.argv[1])
    transport = Transport(base_url=given["url"], pool_size=1, user_agent="tests")
    app = Mortal(transport, client_id=given["client_id"], client_secret=given["client_secret"])
    engine = open_engine(given["database_url"])
    renewal = Renewal(engine=engine, vault=Vault([given["key"]]), oauth=app)
    _say("ready")
    for line in sys.stdin:
        app.sent, app.dies = 0, line.strip() == "die"
        try:
            renewal.renew(given["location_id"])
        except RenewalFailedError as error:
            _say(f"failed: {error}")
        else:
            _say(str(app.sent))


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
