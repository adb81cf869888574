"""Files that synth makes and uploads with the app's other assets: archives, and the manifests of fleets.

`aws_s3_assets.Asset` does not fit: it hashes the given hash again, and keeps only `.gz` of a name. SageMaker
needs a `.tar.gz`, and the key should contain the adapter's identity.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from weakref import WeakKeyDictionary

from aws_cdk import FileAssetLocation, FileAssetPackaging, IStackSynthesizer, NestedStack, Stack, Stage
from constructs import Construct

from adapter_fleet.common.naming import ARCHIVE_SUFFIX
from adapter_fleet.common.validators import TOKEN
from multi_adapter_inference.template.stack_location import partition_of, stack_of

_PROBE = "ArchiveAssets"

_synthesizers: WeakKeyDictionary[Stack, IStackSynthesizer] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class AssetFolder:
    """A folder of the assets bucket, whose files have one suffix.

    Roles get the right to read the whole folder. A role that could read only the new version's key could not
    restore the previous version when an update fails.
    """

    name: str
    suffix: str = ARCHIVE_SUFFIX

    def stage(
        self, scope: Construct, identity: str, pack: Callable[[Path], object], *, display_name: str
    ) -> FileAssetLocation:
        """Pack the archive of that identity, unless it is packed, and return its location in S3.

        Nothing is packed for a stack that this run of the CDK does not bundle.
        """
        stage = Stage.of(scope)
        if stage is None:
            raise ValueError(f"'{scope.node.path}' should be in an app or a stage to have assets")
        stack = stack_of(scope)
        archive = Path(stage.asset_outdir) / f"asset.{identity}{self.suffix}"
        if stack.bundling_required and not archive.exists():
            pack(archive)
        return _synthesizer_of(stack).add_file_asset(
            # The synthesizer makes the key of the hash and the last suffix of the file.
            source_hash=str(PurePosixPath(self.name, f"{identity}{self.suffix}").with_suffix("")),
            file_name=os.path.relpath(archive, stage.outdir),
            packaging=FileAssetPackaging.FILE,
            display_name=display_name,
        )

    def objects_arn(self, scope: Construct, location: FileAssetLocation) -> str:
        """Return the ARN pattern of every file in this folder. `location` is that of any of our assets."""
        if TOKEN in location.object_key:
            raise ValueError(
                f"the synthesizer of the stack '{stack_of(scope).node.path}' should know the keys of its"
                " assets, as the default one does, got one that takes them as parameters"
            )
        return f"arn:{partition_of(scope)}:s3:::{location.bucket_name}/{self._folder(location)}/*"

    def kept(self, location: FileAssetLocation, name: str) -> str:
        """Return `<bucket>/<key>.`, the beginning of files in this folder that `cdk gc` does not delete.

        `cdk gc` deletes each file whose key, up to its first dot, is in no template of the environment.
        So these files are kept while a template contains this text. `name` must be known at synth.
        """
        return f"{location.bucket_name}/{self._folder(location)}/{name}."

    def _folder(self, location: FileAssetLocation) -> str:
        prefix = "".join(f"{part}/" for part in location.object_key.split("/")[:-2])
        return f"{prefix}{self.name}"


def _synthesizer_of(stack: Stack) -> IStackSynthesizer:
    """Return a synthesizer that passes assets on to that of `stack`.

    `stack.synthesizer` does not work for a synthesizer that was made in Python (`Stack(synthesizer=…)`,
    `App(default_stack_synthesizer=…)`): the CDK binds a copy to the stack, and jsii returns the original,
    which is bound to no stack. The synthesizer of a nested stack is made in JavaScript and holds the copy of
    its parent. The nested stack is removed from the tree at once, so nothing of it reaches the template.
    """
    if stack not in _synthesizers:
        scope = Construct(stack, _PROBE)
        _synthesizers[stack] = NestedStack(scope, "Stack").synthesizer
        stack.node.try_remove_child(_PROBE)
    return _synthesizers[stack]
