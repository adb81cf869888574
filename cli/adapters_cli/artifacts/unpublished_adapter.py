"""An adapter that no component serves yet: on this machine or in S3."""

from dataclasses import replace
from pathlib import Path

from adapter_fleet.common.naming import ARCHIVE_SUFFIX, check_component_name, digest_in_key
from adapter_fleet.manifest.desired import Artifact
from adapter_rules.hardware.model_shape import base_named
from adapters_cli.artifacts.local_adapters import local_adapters
from adapters_cli.aws.account import Account
from adapters_cli.aws.s3_location import S3Location
from adapters_cli.models.options import ServingLimits, check_model_name
from adapters_cli.output.errors import CommandError, UsageError, option_errors
from adapters_cli.output.text import few


def unpublished_adapter(
    account: Account,
    adapter: str,
    *,
    destination: str | None,
    base_model: str | None,
    served_model: str | None,
    max_lora_rank: int | None,
) -> tuple[str, Artifact]:
    """Check an adapter, and upload it unless it is in S3. Return its name and its archive.

    `served_model` is the model of the base component, if known. `base_model` overrides the adapter's own.
    Raises UsageError for a path that is no single adapter, and for a base model that is no name. Raises
    CommandError if the adapter breaks a rule.
    """
    check_model_name(base_model)
    limits = ServingLimits.of_options(account, max_lora_rank=max_lora_rank)
    location = S3Location.parse(adapter)
    if location is not None:
        _check_stored(account, location, limits, served_model, base_model)
        name = location.key.rpartition("/")[0].rpartition("/")[2] or "adapter"
        digest = digest_in_key(location.key)
        if digest is None:
            name = location.key.rpartition("/")[2].removesuffix(ARCHIVE_SUFFIX)
        with option_errors():
            check_component_name(name, what="the name of the archive")
        return name, Artifact(uri=location.uri, digest=digest)
    if destination is None:
        raise UsageError("where to upload the adapter? Give --to, which the endpoint's role can read")
    # Imported here: the compressor takes long to import, and other commands do without.
    from adapters_cli.artifacts.archive_store import ArchiveStore, Listing
    from adapters_cli.artifacts.publisher import publish_all

    found = local_adapters([Path(adapter)], name=None)
    if len(found) != 1:
        names = [one.name for one in found]
        raise UsageError(f"'{adapter}' should be one adapter, got {len(found)}: {few(names)}")
    store, nothing_listed = ArchiveStore(account.s3, destination), Listing(keys=frozenset(), complete=False)
    base = base_model or served_model
    (result,), _ = publish_all(store, nothing_listed, found, limits, base, base_model)
    if result.reasons:
        raise CommandError("\n".join(result.reasons))
    return found[0].name, Artifact(uri=result.uri or "", digest=result.identity, checksum=result.checksum)


def _check_stored(
    account: Account, location: S3Location, limits: ServingLimits, served: str | None, given: str | None
) -> None:
    from adapters_cli.artifacts.checking import CheckResult, check_all

    if not location.is_archive:
        raise UsageError(
            f"an adapter in S3 should be 's3://<bucket>/<key>{ARCHIVE_SUFFIX}', got {location.uri}"
        )
    name = given or served
    base = None if name is None else replace(base_named(name), declared=given is None)
    known = ServingLimits(version=limits.version, lora=limits.lora, base=base)
    (checked,) = check_all(account, [location], known)
    if checked.result is CheckResult.ERROR:
        raise CommandError("\n".join(map(str, checked.findings)))
