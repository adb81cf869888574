"""Adapters listed in code, written as a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from aws_cdk import aws_s3 as s3

from adapter_fleet.common.validators import TOKEN
from adapter_fleet.manifest.writer import plain_probe
from multi_adapter_inference.fleet_adapter import FleetAdapter, SmokeTest


class BucketAliases:
    """Aliases for the buckets whose names only the deployment knows."""

    def __init__(self) -> None:
        self.buckets: dict[str, s3.IBucket] = {}
        self._aliases: dict[str, str] = {}

    def of(self, bucket: s3.IBucket, name: str) -> str:
        """Return the alias of a bucket, always the same one for the same name."""
        alias = self._aliases.setdefault(name, f"bucket{len(self._aliases) + 1}")
        self.buckets[alias] = bucket
        return alias


def adapter_entry(adapter: FleetAdapter, aliases: BucketAliases) -> dict[str, Any]:
    """Return one adapter as an entry of a manifest."""
    address = adapter.artifact.address
    if isinstance(address, Path):
        artifact: object = str(address.resolve())
    elif address.bucket is not None and TOKEN in address.bucket_name:
        artifact = {"bucket": aliases.of(address.bucket, address.bucket_name), "key": address.key}
    else:
        artifact = address.uri
    entry: dict[str, Any] = {"name": adapter.name, "artifact": artifact}
    if adapter.digest is not None:
        entry["digest"] = f"sha256:{adapter.digest.removeprefix('sha256:')}"
    entry |= default_keys(adapter.rank, adapter.tags, adapter.smoke)
    if adapter.probe is not None:
        entry["probe"] = plain_probe(adapter.probe.stored)
    if adapter.component_name is not None:
        entry["component"] = adapter.component_name
    return entry


def default_keys(
    rank: int | None, tags: Mapping[str, str], smoke: SmokeTest | Literal[False] | None
) -> dict[str, Any]:
    """Return the keys that both an adapter and the defaults of a manifest may have."""
    keys: dict[str, Any] = {}
    if rank is not None:
        keys["rank"] = rank
    if tags:
        keys["tags"] = dict(tags)
    if smoke is not None:
        keys["smoke"] = smoke and smoke.document
    return keys


def manifest_document(entries: Sequence[Any], base_model: str | None, defaults: Mapping[str, Any]) -> bytes:
    """Return a manifest in JSON with one adapter on each line: the line number is the adapter's number."""
    head = "".join(
        f"{json.dumps(key)}: {json.dumps(value)}, "
        for key, value in (("base_model", base_model), ("defaults", defaults or None))
        if value is not None
    )
    return ("{" + head + '"adapters": [' + ",\n".join(map(json.dumps, entries)) + "]}").encode()
