"""The bucket that a user has beside the stack: archives of adapters, and the manifest of a fleet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adapter_fleet.artifacts.packing import pack

ADAPTERS = "adapters/"
"""Prefix of the archives."""


class Bucket:
    """A bucket with versioning that tells EventBridge of its objects.

    Its archives have their digest in the key, so that a manifest need not tell it.
    """

    def __init__(self, s3: Any, name: str) -> None:
        self._s3, self.name = s3, name

    def create(self) -> None:
        """Make it."""
        self._s3.create_bucket(Bucket=self.name)
        self._s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        self._s3.put_bucket_notification_configuration(
            Bucket=self.name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )

    def publish(self, directory: Path) -> str:
        """Pack an adapter, put it into the bucket, and return its URI."""
        with TemporaryDirectory() as folder:
            packed = pack(directory, Path(folder) / "adapter.tar.gz")
            key = f"{ADAPTERS}{directory.name}/sha256-{packed.identity}.tar.gz"
            self._s3.upload_file(str(packed.path), self.name, key)
        return f"s3://{self.name}/{key}"

    def publish_broken(self, directory: Path) -> str:
        """Publish an adapter whose configuration tells another rank than its tensors have."""
        with TemporaryDirectory() as folder:
            broken = Path(shutil.copytree(directory, Path(folder) / "broken"))
            file = broken / "adapter_config.json"
            config = json.loads(file.read_text())
            file.write_text(json.dumps({**config, "r": config["r"] // 2}))
            return self.publish(broken)

    def delete(self) -> None:
        """Delete it, with every version of all that is in it."""
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self.name):
            for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                self._s3.delete_object(Bucket=self.name, Key=entry["Key"], VersionId=entry["VersionId"])
        self._s3.delete_bucket(Bucket=self.name)
