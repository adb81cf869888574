"""`adapters pull`: copy a model from the Hugging Face Hub to S3 by way of this machine."""

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

from adapter_fleet.hub.files import Digest, ModelFile, ModelFilesError, wanted_files
from adapter_fleet.hub.store import ModelLocation, ModelStore, Repository
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.s3_location import S3Location
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError, reported_errors
from adapters_cli.output.exit_codes import INTERRUPTED
from adapters_cli.output.text import counted, one_line, print_note

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from types_boto3_s3 import S3Client

_PIECE_BYTES = 4 * 1024 * 1024


def pull(
    context: typer.Context,
    model_id: Annotated[str, typer.Argument(help="The model, as ORGANIZATION/MODEL.")],
    target: Annotated[str, typer.Argument(help="Where to copy it, s3://bucket/prefix.")],
    revision: Annotated[str, typer.Option("--revision", help="A commit, branch or tag.")] = "main",
) -> None:
    """Copy a model from the hub to S3, to where a HubModel looks for it.

    Only what serving needs: safetensors, configuration, tokenizer and chat template. The bytes are compared
    with the hub's digests. What is there already is not copied again, whoever copied it.

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
    under_way = _UnderWay(account.s3)
    # One after the other, while the next one comes. That one comes in the main thread, where Ctrl-C ends it.
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
                # What has come is uploaded all the same.
                wait(uploads)
                raise
    except KeyboardInterrupt:
        under_way.end()
    store.keep_complete(files, verified)


def _downloaded(api: "HfApi", location: ModelLocation, file: ModelFile) -> Path:
    with _asking_the_hub(api):
        name = api.hf_hub_download(location.repository.model_id, file.path, revision=location.commit)
    path = Path(name)
    _check(file, path)
    return path


def _raise_of(uploads: Iterable[Future[str]]) -> None:
    """Raise the error of an upload that has failed, before more is downloaded."""
    for upload in uploads:
        if upload.done():
            upload.result()


class _UnderWay:
    """The last upload in parts that was begun, and how a process ends while it goes on."""

    def __init__(self, s3: "S3Client") -> None:
        self._s3 = s3
        self._begun: dict[str, Any] | None = None
        s3.meta.events.register("after-call.s3.CreateMultipartUpload", self._note)

    def _note(self, parsed: dict[str, Any], **_: Any) -> None:
        if "UploadId" in parsed:
            self._begun = {name: parsed[name] for name in ("Bucket", "Key", "UploadId")}

    def end(self) -> NoReturn:
        """End the process, after a second at most, with nothing left of the upload.

        Its threads would send the parts that they are at to their ends, of megabytes each.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        abort = threading.Thread(target=self._abort, daemon=True)
        abort.start()
        abort.join(1)
        sys.stderr.flush()
        os._exit(INTERRUPTED)

    def _abort(self) -> None:
        if self._begun is not None:
            # It may have ended.
            with suppress(BotoCoreError, ClientError):
                self._s3.abort_multipart_upload(**self._begun)


def _check(file: ModelFile, path: Path) -> None:
    """Compare what was downloaded with the hub's digest: the library compares the size alone."""
    hashed = file.hasher()
    with path.open("rb") as content:
        while piece := content.read(_PIECE_BYTES):
            hashed.update(piece)
    if not file.matches(hashed):
        raise CommandError(
            f"the bytes of {path} are not those that the hub has for '{file.path}': delete it and pull again"
        )


def _listed(api: "HfApi", model_id: str, revision: str) -> tuple[str, Sequence[ModelFile]]:
    """Return the commit of a revision, and which of its files are wanted."""
    with _asking_the_hub(api):
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
def _asking_the_hub(api: "HfApi") -> Iterator[None]:
    """Tell in one line what the library raises: errors of several families, those of its HTTP client too."""
    try:
        yield
    except Exception as error:
        text, host = one_line(str(error)) or type(error).__name__, urlsplit(api.endpoint).hostname or ""
        kind = NoAnswerError if _is_of_the_network(error) else CommandError
        # What the HTTP client says of a connection does not name the other end.
        raise kind(text if host in text else f"the hub at '{host}': {text}") from error


def _is_of_the_network(error: BaseException | None) -> bool:
    """Tell whether an error comes from a connection, and not from the hub's answer.

    The library's HTTP client is another one in each of its major versions. Python's errors are below both.
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
