"""Removes audio that was kept in a folder or at an fsspec URL. fsspec is imported only where there is some."""

import re

from etl.errors import EtlError


class AudioNotRemovedError(EtlError):
    """A file of audio cannot be removed now."""

    exit_code = 3


def remove(url: str, *, recordings_urls: tuple[str, ...] = ()) -> bool:
    """Remove the audio at ``url``, as in highlevel.recordings; False when it is not there.

    The URL of a row has no password: it is taken from the one of ``recordings_urls`` that the audio is under.

    Raises:
        AudioNotRemovedError: its place is away, or does not let us.
    """
    from fsspec.core import url_to_fs  # noqa: PLC0415 - see the module's docstring

    try:
        files, path = url_to_fs(_with_password(url, recordings_urls))
        if not files.exists(path):
            return False
        files.rm_file(path)
    except Exception as error:  # what a store raises is its own: botocore's errors are no OSErrors
        # Without the error's text, which may repeat what must stay secret.
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise AudioNotRemovedError(
            f"Audio cannot be removed at {url}: {reason}. Its rows stay. Mend that place and repeat the command."
        ) from error
    return True


def _with_password(url: str, recordings_urls: tuple[str, ...]) -> str:
    for root in recordings_urls:
        shown = re.sub(r"://[^/]*@", "://", root.rstrip("/"))
        if "://" in root and url.startswith(f"{shown}/"):
            return root.rstrip("/") + url.removeprefix(shown)
    return url
