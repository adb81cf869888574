"""`adapters pull`: copy a model from the Hugging Face Hub to S3 through this machine."""

import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import urlsplit

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from adapter_fleet.common.counts import counted
from adapter_fleet.hub.files import Digest, ModelFile, ModelFilesError, wanted_files
from adapter_fleet.hub.store import ModelLocation, ModelStore, Repository
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.s3_location import S3Location
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError, reported_errors
from adapters_cli.output.exit_codes import INTERRUPTED
from adapters_cli.output.text import one_line, print_note

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from types_boto3_s3 import S3Client

_READ_BYTES = 4 * 1024 * 1024

EXAMPLES = """
# Copy a model.
adapters pull Qwen/Qwen2.5-0.5B-Instruct s3://my-models/qwen2.5

# Copy a branch, tag or commit.
adapters pull Qwen/Qwen2.5-0.5B-Instruct s3://my-models/qwen --revision main
"""


def pull(
    context: typer.Context,
    model_id: Annotated[str, typer.Argument(help="The model, as ORGANIZATION/NAME.")],
    target: Annotated[str, typer.Argument(help="Where to copy it, s3://bucket/prefix.")],
    revision: Annotated[str, typer.Option("--revision", help="A commit, branch or tag.")] = "main",
) -> None:
    """Copy a model from the hub to S3, to the place where a HubModel looks for it.

    Copies only what serving needs: safetensors, configuration, tokenizer and chat template. The bytes are
    compared with the hub's digests. Files that are in S3 already are not copied again.

    The hub, the token and the cache are those of the huggingface_hub library: HF_ENDPOINT, HF_TOKEN, HF_HOME.
    """
    with reported_errors():
        if not revision.strip():
            raise UsageError(f"'--revision' should be a commit, branch or tag, got {revision!r}")
        account, api = account_of(context), _api()
        repository = _repository(target, model_id)
        commit, files = _listed(api, model_id, revision)
        store = ModelStore(repository.at(commit), account.s3)
        if store.complete_files() is not None:
            print_note(f"{model_id} at {commit} is there already")
        else:
            _copy(store, api, account, files)
            print_note(f"{counted(len(files), 'file')} of {model_id} at {commit}")
        typer.echo(store.location.uri)


def _copy(store: ModelStore, api: "HfApi", account: Account, files: Sequence[ModelFile]) -> None:
    location, verified = store.location, dict(store.verified(files))
    missing = [file for file in files if file.path not in verified]
    open_upload = _OpenUpload(account.s3)
    # One upload at a time. Downloads run in the main thread, where Ctrl-C ends them.
    uploader = ThreadPoolExecutor(1)
    uploads: list[Future[str]] = []

    def upload(file: ModelFile, path: Path, advance: Callable[[int], None]) -> str:
        key = location.key(file.path)
        account.s3.upload_file(
            str(path),
            location.bucket,
            key,
            ExtraArgs={"ChecksumAlgorithm": "CRC32"},
            Callback=advance,
        )
        etag = account.s3.head_object(Bucket=location.bucket, Key=key)["ETag"]
        store.keep_verified(file.path, etag)
        return etag

    try:
        with _progress() as progress:
            try:
                for file in missing:
                    _raise_of(uploads)
                    path = _downloaded(api, location, file)
                    bar = progress.add_task(file.path, total=file.size)
                    uploads.append(uploader.submit(upload, file, path, partial(progress.advance, bar)))
                verified |= {file.path: done.result() for file, done in zip(missing, uploads, strict=True)}
            except Exception:
                # What is downloaded is uploaded all the same.
                wait(uploads)
                raise
    except KeyboardInterrupt:
        open_upload.end()
    store.keep_complete(files, verified)


def _downloaded(api: "HfApi", location: ModelLocation, file: ModelFile) -> Path:
    with _hub_errors(api):
        name = api.hf_hub_download(location.repository.model_id, file.path, revision=location.commit)
    path = Path(name)
    _check(file, path)
    return path


def _raise_of(uploads: Iterable[Future[str]]) -> None:
    """Raise the error of a failed upload, before more is downloaded."""
    for upload in uploads:
        if upload.done():
            upload.result()


class _OpenUpload:
    """The latest upload in parts, and how the process ends during it."""

    def __init__(self, s3: "S3Client") -> None:
        self._s3 = s3
        self._begun: dict[str, Any] | None = None
        s3.meta.events.register("after-call.s3.CreateMultipartUpload", self._note)

    def _note(self, parsed: dict[str, Any], **_: Any) -> None:
        if "UploadId" in parsed:
            self._begun = {name: parsed[name] for name in ("Bucket", "Key", "UploadId")}

    def end(self) -> NoReturn:
        """Abort the upload and end the process, within a second.

        The upload's threads would finish their present parts first, of megabytes each.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        abort = threading.Thread(target=self._abort, daemon=True)
        abort.start()
        abort.join(1)
        sys.stderr.flush()
        os._exit(INTERRUPTED)

    def _abort(self) -> None:
        if self._begun is not None:
            # The upload may be complete already.
            with suppress(BotoCoreError, ClientError):
                self._s3.abort_multipart_upload(**self._begun)


def _check(file: ModelFile, path: Path) -> None:
    """Compare a downloaded file with the hub's digest. The library compares only the size."""
    hashed = file.hasher()
    with path.open("rb") as content:
        while piece := content.read(_READ_BYTES):
            hashed.update(piece)
    if not file.matches(hashed):
        raise CommandError(
            f"the bytes of {path} are not those that the hub has for '{file.path}': delete it and pull again"
        )


def _listed(api: "HfApi", model_id: str, revision: str) -> tuple[str, Sequence[ModelFile]]:
    """Return the commit of a revision, and its files that serving needs."""
    with _hub_errors(api):
        info = api.model_info(model_id, revision=revision, files_metadata=True)
    files = [
        ModelFile(
            path=sibling.rfilename,
            size=-1 if sibling.size is None else sibling.size,
            digest=f"{Digest.SHA256}:{sibling.lfs.sha256}"
            if sibling.lfs
            else f"{Digest.GIT_BLOB}:{sibling.blob_id}",
        )
        for sibling in info.siblings or ()
    ]
    if info.sha is None:
        raise CommandError(f"the hub should name the commit of '{model_id}' at '{revision}', got nothing")
    try:
        return info.sha, wanted_files(f"{model_id}@{info.sha[:12]}", files)
    except ModelFilesError as error:
        raise CommandError(str(error)) from None


def _repository(target: str, model_id: str) -> Repository:
    place = S3Location.parse(target)
    if place is None or not place.bucket:
        raise UsageError(f"'TARGET' should be s3://bucket/prefix, got {target!r}")
    prefix = place.key.strip("/")
    return Repository(bucket=place.bucket, prefix=f"{prefix}/" if prefix else "", model_id=model_id)


def _api() -> "HfApi":
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise CommandError(
            "the huggingface_hub library should be installed for this command:"
            " pip install 'cdk-multi-adapter-inference[hub]'"
        ) from None
    return HfApi()


@contextmanager
def _hub_errors(api: "HfApi") -> Iterator[None]:
    """Turn any error of the library or of its HTTP client into a CommandError of one line."""
    try:
        yield
    except Exception as error:
        text, host = one_line(str(error)) or type(error).__name__, urlsplit(api.endpoint).hostname or ""
        kind = NoAnswerError if _is_network_error(error) else CommandError
        # A connection error of the HTTP client does not name the host.
        raise kind(text if host in text else f"the hub at '{host}': {text}") from error


def _is_network_error(error: BaseException | None) -> bool:
    """Return True if an error comes from a connection, and not from the hub's answer.

    Each major version of the library has another HTTP client. Both raise from Python's own errors.
    """
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError | socket.gaierror | ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress
