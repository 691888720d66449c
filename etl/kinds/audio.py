"""Keeps audio in a folder or at an fsspec URL: written under a temporary name and renamed once complete.

In a folder, only the owner may read them: files have mode 0600, folders 0700.

fsspec is imported on first use only: that takes a tenth of a second.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from etl.api.transport import NoAnswerError
from etl.errors import ConfigurationError, EtlError, ItemError, NotFoundError, RefusedError, RetriableError


class AudioNotRemovedError(EtlError):
    """An audio file cannot be removed now."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """Audio that was written or existed already."""

    size_bytes: int
    sha256: str
    """Hexadecimal."""
    url: str
    """The URL of the audio, without the password that ``recordings_url`` may hold."""


class AudioStore:
    """A place for audio; safe to share between threads.

    Weakness: a process that is killed leaves its temporary file, ``.<name>.part``, until the same audio is kept again.
    """

    def __init__(self, url: str) -> None:
        """Keep audio in ``url``, which is opened on first use."""
        self._url = url.rstrip("/")

    def keep(self, chunks: Iterable[bytes], name: str, *, max_bytes: int) -> Kept:
        """Write audio as ``name`` and create its folders; an identical file is left unchanged.

        Raises:
            NoAnswerError: the audio broke off.
            NotFoundError: the audio is empty.
            RefusedError: the audio is longer than ``max_bytes``.
            RetriableError: the audio cannot be written: disk full, permission missing, store unavailable.
        """
        try:
            path = f"{self._root}/{name}"
            folder, _, file = path.rpartition("/")
            part = f"{folder}/.{file}.part"
            self._make(folder)
            try:
                size, sha256 = self._write(chunks, part, max_bytes=max_bytes)
                if not self._has(path, size, sha256):
                    self._move(part, path)
            finally:
                with suppress(Exception):  # it was renamed already, or the store fails, which the first error says
                    self._files.rm_file(part)
        except (ItemError, NoAnswerError):
            raise
        except Exception as error:  # each store has errors of its own: botocore's are no OSErrors
            raise RetriableError("audio_not_kept", f"recordings_url cannot be written to: {_reason(error)}") from error
        return Kept(size, sha256, f"{self._shown}/{name}")

    def probe(self) -> None:
        """Write a small file and remove it.

        Raises:
            ConfigurationError: the file cannot be written or removed.
        """
        try:
            self._make(self._root)
            with self._begin(f"{self._root}/.etl-probe") as file:
                file.write(b"probe")
            self._files.rm_file(f"{self._root}/.etl-probe")
        except Exception as error:  # as in keep()
            raise ConfigurationError(f"{self._shown} cannot be written to: {_reason(error)}") from error

    @cached_property
    def _place(self) -> tuple[Any, str, bool]:
        from fsspec.core import url_to_fs  # noqa: PLC0415 - see the module's docstring
        from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415 - the same

        files, root = url_to_fs(self._url)
        return files, root.rstrip("/"), isinstance(files, LocalFileSystem)

    @property
    def _files(self) -> Any:
        return self._place[0]

    @property
    def _root(self) -> str:
        return self._place[1]

    @property
    def _shown(self) -> str:
        if "://" not in self._url:
            return f"file://{self._root}"
        return _without_password(self._url)

    @property
    def _is_local(self) -> bool:
        return self._place[2]

    def _make(self, folder: str) -> None:
        """Make a folder, but no bucket: a misspelt name must not create one."""
        if self._is_local:
            for each in (*reversed(Path(folder).parents), Path(folder)):
                if not each.exists():
                    each.mkdir(mode=0o700, exist_ok=True)
        elif self._files.exists(self._root):
            self._files.makedirs(folder, exist_ok=True)

    def _begin(self, path: str) -> Any:
        """Return a new file. Replace one left by a killed process; never write through a link."""
        if not self._is_local:
            return self._files.open(path, "wb")
        Path(path).unlink(missing_ok=True)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")

    def _write(self, chunks: Iterable[bytes], path: str, *, max_bytes: int) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with self._begin(path) as file:
            for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise RefusedError("too_large", f"the audio is longer than {max_bytes} bytes")
                digest.update(chunk)
                file.write(chunk)
            if self._is_local:
                file.flush()
                os.fsync(file.fileno())
        if not size:
            raise NotFoundError("not_found", "the audio is empty")
        return size, digest.hexdigest()

    def _has(self, path: str, size: int, sha256: str) -> bool:
        if not self._files.exists(path) or self._files.size(path) != size:
            return False
        with self._files.open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def _move(self, part: str, path: str) -> None:
        """Give audio its final name and flush it to disk: its row will be durable, too."""
        if not self._is_local:
            self._files.mv(part, path)
            return
        Path(part).replace(path)
        folder = os.open(Path(path).parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def require_known(url: str, *, job: str) -> None:
    """Check without connecting that the ``recordings_url`` of a job is supported here.

    Raises:
        ConfigurationError: it is not supported; the text names the cure.
    """
    from fsspec import get_filesystem_class  # noqa: PLC0415 - see the module's docstring
    from fsspec.core import split_protocol  # noqa: PLC0415 - the same

    protocol = split_protocol(url)[0] or "file"
    try:
        get_filesystem_class(protocol)
    except ValueError:
        raise ConfigurationError(
            f"jobs.yaml, job {job!r}: recordings_url: {protocol}:// is not known. Use a folder, or a URL such as "
            "s3://bucket/calls"
        ) from None
    except ImportError as error:
        raise ConfigurationError(
            f"jobs.yaml, job {job!r}: recordings_url: {protocol}:// needs a package, which pip can install: {error}"
        ) from None


def remove(url: str, *, recordings_urls: Sequence[str]) -> bool:
    """Remove the audio at ``url``, as in highlevel.recordings; False when it does not exist.

    The URL of a row has no password. The password is that of the URL in ``recordings_urls`` under which the audio is.

    Raises:
        AudioNotRemovedError: the store is unavailable or refuses.
    """
    from fsspec.core import url_to_fs  # noqa: PLC0415 - see the module's docstring

    try:
        files, path = url_to_fs(_with_password(url, recordings_urls))
        if not files.exists(path):
            return False
        files.rm_file(path)
    except Exception as error:  # as in AudioStore.keep()
        raise AudioNotRemovedError(
            f"Audio cannot be removed at {url}: {_reason(error)}. Its rows stay. Fix that, then repeat the command."
        ) from error
    return True


def _with_password(url: str, recordings_urls: Sequence[str]) -> str:
    for root in recordings_urls:
        shown = _without_password(root.rstrip("/"))
        if "://" in root and url.startswith(f"{shown}/"):
            return root.rstrip("/") + url.removeprefix(shown)
    return url


def _without_password(url: str) -> str:
    return re.sub(r"://[^/]*@", "://", url)


def _reason(error: Exception) -> str:
    """Return the kind of an error without its text, which may hold secrets."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
