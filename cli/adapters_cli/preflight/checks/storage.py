"""Checks of the buckets: that they exist in the region, and that the keys which the environment names do."""

from collections.abc import Iterator, Mapping

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.counts import counted
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import BucketArtifact, ManifestError, S3Artifact
from adapters_cli.aws.s3_location import NO_OBJECT
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.output.text import few
from adapters_cli.preflight.check_outcome import Check, CheckOutcome
from adapters_cli.preflight.deployment import Deployment

_GONE = (*NO_OBJECT, "NoSuchBucket")
_DENIED = ("403", "AccessDenied", "Forbidden")


def check_buckets(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look for each bucket and its region."""
    check = Check("bucket")
    for name in deployment.buckets:
        try:
            head = deployment.account.s3.head_bucket(Bucket=name)
        except ClientError as error:
            yield _unreachable(check, deployment, name, error)
            continue
        region = head.get("BucketRegion") or head["ResponseMetadata"]["HTTPHeaders"].get(
            "x-amz-bucket-region"
        )
        if region and region != deployment.region:
            copy = f"{name[: 62 - len(deployment.region)]}-{deployment.region}"
            yield check.error(
                f"bucket '{name}' should be in {deployment.region}, where the endpoint is, got {region}; name"
                f" a copy such as '{copy}'",
                f"aws s3 mb s3://{copy} --region {deployment.region} && aws s3 sync s3://{name} s3://{copy}"
                f" --source-region {region} --region {deployment.region}",
            )
            continue
        yield check.ok(f"bucket '{name}' is in {deployment.region}")


def check_objects(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look for the archives and manifests in S3 that the environment and its manifests name."""
    check, environment = Check("object"), deployment.environment
    manifests = [f"s3://{fleet.bucket}/{fleet.key}" for fleet in environment.fleets.values() if fleet.bucket]
    archives = [adapter.uri for adapter in environment.adapters.values() if adapter.uri is not None]
    has_mistakes = False
    for fleet in environment.fleets.values():
        if fleet.manifest is not None:
            try:
                manifest = Manifest.parse(
                    fleet.manifest.read_bytes(), where=str(fleet.manifest), folder=fleet.manifest.parent
                )
            except (ManifestError, OSError) as error:
                has_mistakes = True
                yield check.error(str(error))
                continue
            archives += _archives(manifest, fleet.buckets)
    named = list(dict.fromkeys([*manifests, *archives]))
    buckets = read_each({bucket_and_key(uri)[0] for uri in named}, lambda name: _bucket(deployment, name))
    wanted = [uri for uri in named if buckets[bucket_and_key(uri)[0]]]
    if nowhere := sorted(name for name, there in buckets.items() if not there):
        yield check.not_checked(f"there is no bucket {few(nowhere)}")
    states = read_each(wanted, lambda uri: _state(deployment, uri))
    missing = [uri for uri, state in states.items() if state in _GONE]
    denied = [uri for uri, state in states.items() if state in _DENIED]
    if lost := [uri for uri in missing if uri in manifests]:
        yield check.error(
            f"there is no manifest {few(lost)}",
            f"adapters publish DIRECTORY {_archives_place(deployment, lost[0])} --manifest {lost[0]}",
        )
    if lost := [uri for uri in missing if uri not in manifests]:
        yield check.error(
            f"there is no archive {few(lost)}",
            f"adapters publish DIRECTORY {_publishing_place(lost[0])}",
        )
    if denied:
        yield check.not_checked(f"the caller may not read {few(denied)}")
    if not (missing or denied or nowhere or has_mistakes):
        yield check.ok(f"{counted(len(wanted), 'object')} in S3" if wanted else "none is named")


def _bucket(deployment: Deployment, name: str) -> bool:
    """Tell whether a bucket is there, as far as the caller may know."""
    try:
        deployment.account.s3.head_bucket(Bucket=name)
    except ClientError as error:
        return code_of(error) not in _GONE
    return True


def _archives_place(deployment: Deployment, manifest: str) -> str:
    """Return a place for archives that the endpoint may read, or else one beside the manifest."""
    for source in deployment.environment.artifact_sources:
        return f"s3://{source.bucket}/{source.prefix}".rstrip("/")
    return f"s3://{bucket_and_key(manifest)[0]}/adapters"


def _publishing_place(uri: str) -> str:
    """Return where `adapters publish` puts an archive there: two folders up, PREFIX/NAME/ARCHIVE."""
    bucket, key = bucket_and_key(uri)
    prefix = "/".join(key.split("/")[:-2])
    return f"s3://{bucket}/{prefix}".rstrip("/")


def _unreachable(check: Check, deployment: Deployment, name: str, error: ClientError) -> CheckOutcome:
    if code_of(error) in _GONE:
        return check.error(
            f"there is no bucket '{name}'", f"aws s3 mb s3://{name} --region {deployment.region}"
        )
    if code_of(error) in _DENIED:
        return check.not_checked(f"the caller may not read bucket '{name}', or it is another account's")
    raise error


def _archives(manifest: Manifest, buckets: Mapping[str, str]) -> list[str]:
    found = []
    for adapter in manifest.adapters:
        match adapter.artifact:
            case S3Artifact(uri=uri):
                found.append(uri)
            case BucketArtifact(bucket=alias, key=key) if alias in buckets:
                found.append(f"s3://{buckets[alias]}/{key}")
    return found


def _state(deployment: Deployment, uri: str) -> str | None:
    """Return the code of S3's refusal of an object; None if the object is there."""
    bucket, key = bucket_and_key(uri)
    try:
        deployment.account.s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) not in (*_GONE, *_DENIED):
            raise
        return code_of(error)
    return None
