"""The content of an adapter's archive in S3."""

from adapter_fleet.manifest.desired import Artifact
from adapters_cli.aws.account import Account


def archive_content(account: Account, artifact: Artifact) -> str:
    """Return a text that changes with the archive's content: its digest, or else its URI and ETag."""
    if artifact.digest is not None:
        return artifact.digest
    found = account.service.find_archive(artifact.uri)
    return f"{artifact.uri} {found.etag}" if found is not None else artifact.uri
