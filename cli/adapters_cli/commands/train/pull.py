"""`adapters pull`: copy a model from the Hugging Face Hub to S3 through this machine."""

import os
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.counts import counted
from adapters_cli.aws.account import account_of
from adapters_cli.aws.s3_location import NO_OBJECT, S3Location
from adapters_cli.models.model_files import ModelFile, wanted_files
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError
from adapters_cli.output.exit_codes import INTERRUPTED
from adapters_cli.output.text import one_line, print_note

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from types_boto3_s3 import S3Client

_DIGEST = "hub-digest"  # in the metadata of an object: the hub's digest of its bytes
_POLL_SECONDS = 0.05

EXAMPLES = """
# Copy a branch, tag or commit of a model.
adapters pull Qwen/Qwen2.5-0.5B-Instruct s3://my-models/qwen --revision main
"""


def pull(
    context: typer.Context,
    model_id: Annotated[str, typer.Argument(metavar="MODEL-ID", help="The model, as ORGANIZATION/NAME.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Where to copy it, s3://bucket/prefix.")],
    revision: Annotated[
        str, typer.Option("--revision", metavar="TEXT", help="A commit, branch or tag.")
    ] = "main",
) -> None:
    """Copy a model from the hub to S3, for BaseModel.from_bucket.

    It copies only what serving needs, and compares the bytes with the hub's digests. Files that are in S3
    already are not copied again. HF_ENDPOINT, HF_TOKEN and HF_HOME name the hub, the token and the cache.
    """
    if not revision.strip():
        raise UsageError(f"'--revision' should be a commit, branch or tag, got {revision!r}")
    place = S3Location.parse(target)
    if place is None or not place.bucket:
        raise UsageError(f"'TARGET' should be s3://bucket/prefix, got {target!r}")
    s3, api = account_of(context).s3, _api()
    commit, files = _listed(api, model_id, revision)
    key = "/".join(filter(None, (place.key.strip("/"), model_id.replace("/", "--"), commit)))
    folder = _Folder(s3, S3Location(bucket=place.bucket, key=f"{key}/"))
    missing = [file for file in files if not folder.has(file)]
    for file in missing:
        with _hub_errors(api):
            path = Path(api.hf_hub_download(model_id, file.path, revision=commit))
        if not file.matches(path):
            raise CommandError(
                f"the bytes of {path} are not those that the hub has for '{file.path}': delete it and"
                " pull again"
            )
        folder.upload(file, path)
        print_note(f"{file.path}, {file.size / 1e9:.3g} GB")
    there = "" if missing else " is there already"
    print_note(f"{counted(len(files), 'file')} of {model_id} at {commit}{there}")
    typer.echo(folder.place.uri)


class _Folder:
    """The folder of one commit of a model in S3. It holds the model's files and nothing else."""

    def __init__(self, s3: "S3Client", place: S3Location) -> None:
        self._s3, self.place = s3, place
        self._begun: dict[str, Any] = {}
        s3.meta.events.register("after-call.s3.CreateMultipartUpload", self._note_upload)

    def has(self, file: ModelFile) -> bool:
        """Tell whether a file is copied: an object that this command uploaded, of the same bytes."""
        try:
            found = self._s3.head_object(Bucket=self.place.bucket, Key=self.place.key + file.path)
        except ClientError as error:
            if code_of(error) not in NO_OBJECT:
                raise
            return False
        return found["ContentLength"] == file.size and found["Metadata"].get(_DIGEST) == file.digest

    def upload(self, file: ModelFile, path: Path) -> None:
        """Upload a file. The object appears whole or not at all."""
        from boto3.s3.transfer import TransferConfig, create_transfer_manager

        extra = {"ChecksumAlgorithm": "CRC32", "Metadata": {_DIGEST: file.digest}}
        key = self.place.key + file.path
        # Not the client's `upload_file`: after Ctrl-C, it waits for the parts that its threads send.
        manager, transfer = create_transfer_manager(self._s3, TransferConfig()), None
        try:
            transfer = manager.upload(str(path), self.place.bucket, key, extra_args=extra)
            # In short sleeps: Ctrl-C does not end a sleep that begins just after it.
            while not transfer.done():
                time.sleep(_POLL_SECONDS)
            transfer.result()
        except KeyboardInterrupt:
            # A second Ctrl-C ends the process without the abort.
            try:
                if transfer is not None:
                    transfer.cancel()
                self._s3.abort_multipart_upload(**self._begun)
            finally:
                os._exit(INTERRUPTED)

    def _note_upload(self, parsed: dict[str, Any], **_: Any) -> None:
        if "UploadId" in parsed:
            self._begun = {name: parsed[name] for name in ("Bucket", "Key", "UploadId")}


def _listed(api: "HfApi", model_id: str, revision: str) -> tuple[str, Sequence[ModelFile]]:
    """Return the commit of a revision, and its files that serving needs."""
    with _hub_errors(api):
        info = api.model_info(model_id, revision=revision, files_metadata=True)
    if info.sha is None:
        raise CommandError(f"the hub should name the commit of '{model_id}' at '{revision}', got nothing")
    files = [
        ModelFile(
            path=sibling.rfilename,
            size=-1 if sibling.size is None else sibling.size,
            digest=f"sha256:{sibling.lfs.sha256}" if sibling.lfs else f"git-sha1:{sibling.blob_id}",
        )
        for sibling in info.siblings or ()
    ]
    return info.sha, wanted_files(f"{model_id}@{info.sha[:12]}", files)


def _api() -> "HfApi":
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise CommandError(
            "the huggingface_hub library should be installed for this command:"
            ' pip install "${WHEEL}[hub]", where WHEEL is the file of the wheel'
        ) from None
    return HfApi()


@contextmanager
def _hub_errors(api: "HfApi") -> Iterator[None]:
    """Turn any error of the library or of its HTTP client into a CommandError of one line."""
    try:
        yield
    except Exception as error:
        text, host = one_line(str(error)) or type(error).__name__, urlsplit(api.endpoint).hostname
        kind = NoAnswerError if _is_network_error(error) else CommandError
        raise kind(f"the hub at '{host}': {text}") from error


def _is_network_error(error: BaseException | None) -> bool:
    """Tell whether an error comes from a connection: all HTTP clients of the library raise from Python's."""
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError | socket.gaierror | ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
