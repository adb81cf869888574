"""Archives made at synth and uploaded with the app's other assets.

Not `aws_s3_assets.Asset`: it hashes the given hash once more and keeps only `.gz` of a name, where SageMaker
wants a `.tar.gz`, and the key should tell the adapter's identity.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import FileAssetLocation, FileAssetPackaging, Stack, Stage
from constructs import Construct


@dataclass(frozen=True, kw_only=True)
class ArchiveFolder:
    """A folder of the assets bucket. A role may read all of it.

    The next version's key is another, and a role that could read only that could not bring back the last
    one when an update fails.
    """

    name: str

    def stage(
        self, scope: Construct, identity: str, pack: Callable[[Path], object], *, display_name: str
    ) -> FileAssetLocation:
        """Pack the archive of that identity, unless it is packed, and return where it will be in S3.

        Nothing is packed for a stack that this run of the CDK leaves alone.
        """
        stage = Stage.of(scope)
        if stage is None:
            raise ValueError(f"'{scope.node.path}' should be in an app or a stage to have assets")
        stack = Stack.of(scope)
        archive = Path(stage.asset_outdir) / f"asset.{identity}.tar.gz"
        if stack.bundling_required and not archive.exists():
            pack(archive)
        return stack.synthesizer.add_file_asset(
            # The synthesizer's key is the hash and the last suffix of the file.
            source_hash=f"{self.name}/{identity}.tar",
            file_name=os.path.relpath(archive, stage.outdir),
            packaging=FileAssetPackaging.FILE,
            display_name=display_name,
        )

    def objects_arn(self, scope: Construct, location: FileAssetLocation) -> str:
        """Return the ARN pattern of every archive in the folder."""
        prefix = location.object_key[: location.object_key.index(f"{self.name}/")]
        return f"arn:{Stack.of(scope).partition}:s3:::{location.bucket_name}/{prefix}{self.name}/*"
