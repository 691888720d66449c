"""A HighLevel look-alike on localhost that imports nothing of the package but how to listen, so that it can judge it.

docs/sandbox.md says how to use it. Where HighLevel's behaviour is unknown (the status of an unknown message, the body
of a 429), the sandbox picks one, and a comment says so.
"""
