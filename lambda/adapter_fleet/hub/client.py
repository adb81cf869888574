"""A client of the Hugging Face Hub's HTTP API, for copying a model.

The endpoints, headers and error codes are those in the source of the `huggingface_hub` library (`hf_api.py`,
`utils/_http.py`).
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from adapter_fleet.hub.files import COMMIT, Digest, ModelFile

HUB = "https://huggingface.co"

_ATTEMPTS = 5
_MAX_WAIT_SECONDS = 30.0
_TIMEOUT = urllib3.Timeout(connect=10, read=30)
_MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
PIECE_BYTES = 64 * 1024
"""The unit of reading: a piece whose connection breaks is lost as a whole."""

_MAX_LISTING_BYTES = 32 * 1024 * 1024
_MAX_MESSAGE_LENGTH = 200
# What a header may hold. HTTP libraries quote a refused header as a whole, which would reveal the token.
_TOKEN = re.compile(r"[!-~]+")
_WRONG_TOKEN = "Invalid credentials in Authorization header"

_Result = TypeVar("_Result")


class HubError(Exception):
    """The hub refuses a request, and a retry does not help."""


class HubBusyError(Exception):
    """The hub or the network to it failed. A retry may help."""

    def __init__(self, message: str, *, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay
        """The seconds that the hub asks to wait before a retry."""


@dataclass(frozen=True, kw_only=True)
class HubRevision:
    """The commit and the files of a repository at a revision."""

    commit: str
    files: tuple[ModelFile, ...]


class Hub:
    """A client that sends the token to the hub itself and to no other host.

    endpoint:
        The hub's scheme and host, and the path of a mirror that has one.
    token:
        Sent to the endpoint's own host only, not to hosts that the hub redirects to. HubError if no header
        can hold it.
    """

    def __init__(
        self, endpoint: str, *, token: str | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._token = None if token is None else token.strip()
        if self._token is not None and not _TOKEN.fullmatch(self._token):
            raise HubError(
                "the hub's token should be printable ASCII without spaces, and no JSON around it,"
                f" got {len(self._token)} characters with others among them, or none"
            )
        self._sleep = sleep
        self._http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)

    def revision(self, model_id: str, revision: str) -> HubRevision:
        """Return the commit of a revision and the files in it.

        Raises HubError, and HubBusyError after the last retry.
        """
        path = f"/api/models/{quote(model_id)}/revision/{quote(revision, safe='')}?blobs=true"
        what = f"'{model_id}' at revision '{revision}'"

        def read() -> bytes:
            response = self._get(path, what, model_id)
            try:
                return _read(response, _MAX_LISTING_BYTES, what)
            finally:
                response.close()

        text = self._retry(read)
        try:
            answer = json.loads(text)
            commit = str(answer["sha"])
            files = tuple(_file(entry) for entry in answer["siblings"])
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise HubError(
                f"the hub's listing of {what} is not as expected: {type(error).__name__}"
            ) from None
        if not COMMIT.fullmatch(commit):
            raise HubError(f"the hub's listing of {what} should name a commit, got {commit[:50]!r}")
        return HubRevision(commit=commit, files=files)

    def read(self, model_id: str, commit: str, file: ModelFile, *, start: int, size: int) -> BytesIO:
        """Return a range of a file. A broken download resumes where it ended.

        Raises HubError, and HubBusyError after several attempts without a new byte.
        """
        content = BytesIO()
        received = 0
        what = f"'{file.path}' of '{model_id}'"
        path = f"/{quote(model_id)}/resolve/{commit}/{quote(file.path)}"

        def read_on() -> bool:
            nonlocal received
            before = received
            try:
                for piece in self._pieces(path, what, model_id, file, start + received, start + size - 1):
                    if received + len(piece) > size:
                        raise HubBusyError(f"the hub sent more of {what} than was asked for")
                    content.write(piece)
                    received += len(piece)
            except HubBusyError:
                # While bytes arrive, a bad connection counts as a slow one.
                if received == before:
                    raise
            return received == size

        failures = 0
        while received < size:
            before = received
            if not self._retry(read_on):
                failures = 0 if received > before else failures + 1
                if failures >= _ATTEMPTS:
                    raise HubBusyError(f"the hub sent {received} of {size} bytes of {what}")
        content.seek(0)
        return content

    def _pieces(
        self, path: str, what: str, model_id: str, file: ModelFile, first: int, last: int
    ) -> Iterable[bytes]:
        response = self._get(path, what, model_id, {"Range": f"bytes={first}-{last}"})
        try:
            whole = first == 0 and last == file.size - 1
            expected = f"bytes {first}-{last}/{file.size}"
            given = response.headers.get("Content-Range", "")
            if not (response.status == 200 and whole) and given != expected:
                raise HubBusyError(
                    f"the hub should send '{expected}' of {what}, got {response.status} '{given[:60]}'"
                )
            while True:
                piece = _read(response, PIECE_BYTES, what)
                if not piece:
                    return
                yield piece
        finally:
            response.close()

    def _get(
        self, path: str, what: str, model_id: str, headers: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Return the response to a request after all redirects, with its body unread."""
        url = self._endpoint + path
        for _ in range(_MAX_REDIRECTS + 1):
            # Compression on the way would change bytes and length.
            sent = {"Accept-Encoding": "identity", **(headers or {})}
            if self._token is not None and self._is_the_hub(url):
                sent["Authorization"] = f"Bearer {self._token}"
            try:
                response = self._http.request("GET", url, headers=sent, preload_content=False, redirect=False)
            except (HTTPError, OSError) as error:
                # Only the name of the error: its message has the URL, which may be signed.
                raise HubBusyError(
                    f"'{urlsplit(url).hostname}' cannot be reached for {what}: {type(error).__name__}"
                ) from None
            except ValueError as error:
                # Its message may have a header, and so the token.
                raise HubError(f"{what} cannot be asked for: {type(error).__name__}") from None
            if response.status not in _REDIRECTS:
                if response.status in (200, 206):
                    return response
                response.close()
                raise self._refusal(response, url, what, model_id)
            response.close()
            target = _target(url, response.headers.get("Location", ""), what)
            if url.startswith("https:") and not target.startswith("https:"):
                raise HubError(f"the hub redirects {what} to where nothing is encrypted")
            url = target
        raise HubError(f"the hub redirects {what} more than {_MAX_REDIRECTS} times")

    def _is_the_hub(self, url: str) -> bool:
        return origin(url) == origin(self._endpoint)

    def _refusal(self, response: urllib3.BaseHTTPResponse, url: str, what: str, model_id: str) -> Exception:
        """Return the error that a response other than success means."""
        status, code = response.status, response.headers.get("X-Error-Code", "")
        if status in (408, 429) or status >= 500:
            return HubBusyError(f"the hub answered {status} for {what}", delay=_delay(response.headers))
        if not self._is_the_hub(url):
            # A signed URL that has expired. The hub gives another one.
            return HubBusyError(f"'{urlsplit(url).hostname}' answered {status} for {what}")
        message = response.headers.get("X-Error-Message", "")
        if self._token:
            message = message.replace(self._token, "***")
        message = message[:_MAX_MESSAGE_LENGTH]
        text = self._access_problem(status, code, message, model_id) or self._other_problem(
            status, code, message, what
        )
        return HubError(f"{text} ({status} {code}".rstrip() + ")")

    def _access_problem(self, status: int, code: str, message: str, model_id: str) -> str | None:
        """Return what is wrong with the token or its rights to the model; None for another problem."""
        if code == "GatedRepo":
            page = f"{self._endpoint}/{model_id}"
            if self._token is None:
                return f"'{model_id}' is gated: accept its licence at {page}, and give a token"
            return f"the licence of '{model_id}' is not accepted: do so at {page}, with the token's account"
        if message == _WRONG_TOKEN or (status == 401 and self._token is not None and code != "RepoNotFound"):
            return "the hub does not know the token, or no longer"
        if status == 401 or code == "RepoNotFound":
            why = "the token may not read it" if self._token else "there is no token"
            return f"the hub has no model '{model_id}', or it is private: {why}"
        return None

    def _other_problem(self, status: int, code: str, message: str, what: str) -> str:
        detail = f": {message}" if message else ""
        if code == "RevisionNotFound":
            return f"the hub has no {what}"
        if status == 403:
            return (
                f"the hub forbids {what} to {'the token' if self._token else 'those without a token'}{detail}"
            )
        if status == 404:
            return f"the hub does not find {what}"
        return f"the hub refuses {what}{detail}"

    def _retry(self, ask: Callable[[], _Result]) -> _Result:
        """Call `ask` with retries, with full jitter or the delay that the hub asks for."""
        for attempt in range(_ATTEMPTS):
            try:
                return ask()
            except HubBusyError as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                wait = error.delay or random.uniform(0, 0.5 * 2**attempt)
            self._sleep(min(wait, _MAX_WAIT_SECONDS))
        raise AssertionError("unreachable")


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL, which are equal for URLs of one server."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _target(url: str, location: str, what: str) -> str:
    """Return the URL that a redirect leads to."""
    try:
        target = urljoin(url, location)
        origin(target)
    except ValueError:
        raise HubError(f"the hub redirects {what} to what is no URL") from None
    return target


def _read(response: urllib3.BaseHTTPResponse, most: int, what: str) -> bytes:
    try:
        return response.read(most)
    except (HTTPError, OSError) as error:
        raise HubBusyError(f"the connection for {what} broke: {type(error).__name__}") from None


def _delay(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def _file(entry: Mapping[str, Any]) -> ModelFile:
    lfs = entry.get("lfs")
    digest = f"{Digest.SHA256}:{lfs['sha256']}" if lfs else f"{Digest.GIT_BLOB}:{entry.get('blobId')}"
    size = lfs["size"] if lfs else entry.get("size")
    # Entries that are not copied may have no size, such as a submodule.
    return ModelFile(path=str(entry["rfilename"]), size=-1 if size is None else int(size), digest=digest)
