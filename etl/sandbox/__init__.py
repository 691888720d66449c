"""A HighLevel look-alike on localhost that imports nothing from the rest of the package, so that it can judge it.

Started with ``etl sandbox`` it prints a URL, a location and a token to paste; tests use
:class:`etl.sandbox.server.RunningSandbox`; ``etl sandbox send`` posts signed webhooks to a receiver.

It imitates ``GET /conversations/messages/{id}`` with believable data in both shapes seen (wrapped and as documented),
the rate limits with their headers, the error texts, the OAuth endpoints, webhook events and their two signatures. What
goes wrong in real life can be asked for: see ``PUT /sandbox/faults``.

It does not imitate: the single email, export, search, list, recording and transcription endpoints; anything that
writes; scopes of a token; the camel-case dialect that ``Version: v3`` selects at the token endpoint; TLS. Where
HighLevel's behaviour is unknown (the status of an unknown message, the body of a 429) it picks one, says so beside the
code, and lets the unknown-message status be configured.
"""
