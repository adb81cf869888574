"""Where the base model comes from."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from aws_cdk import Duration, FileSystem, Size, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import IDependable

from adapter_fleet.hub.client import HUB
from adapter_fleet.serving.base_model import BaseModelFacts, read_model_config
from adapter_fleet.serving.model_shape import ModelShape, known_shape
from multi_adapter_inference._internal.asset_folder import AssetFolder
from multi_adapter_inference._internal.arguments import checked
from multi_adapter_inference.execution_role import ExecutionRole
from multi_adapter_inference._internal.functions import LOGS_KEPT, FunctionSettings
from multi_adapter_inference._internal.object_prefix import as_folder

_MODELS = AssetFolder(name="base-models")


class ModelDownload(Enum):
    """Who brings a model from a bucket onto the instance."""

    SAGEMAKER = "sagemaker"
    """SageMaker itself, before the container starts. Works with network isolation."""
    CONTAINER = "container"
    """The container, told by `HF_MODEL_ID`."""


@dataclass(frozen=True, kw_only=True)
class BoundModel:
    """A base model as the SageMaker model resource takes it, and what has to be there before.

    version:
        Which one it is, where the rest does not tell before it is deployed.
    """

    environment: dict[str, str] = field(default_factory=dict)
    data_source: sagemaker.CfnModel.ModelDataSourceProperty | None = None
    data_url: str | None = None
    version: str | None = None
    depends_on: Sequence[IDependable] = ()


@checked
class BaseModel(ABC):
    """The model that the adapters were trained for. Made by one of the `from_*`.

    `shape` is how large it is, where that is known at synth.
    """

    def __init__(
        self, *, facts: BaseModelFacts, needs_network: bool, shape: ModelShape | None = None
    ) -> None:
        self.facts = facts
        self.needs_network = needs_network
        self.shape = shape or known_shape(facts.name)

    @staticmethod
    def from_bucket(
        bucket: s3.IBucket,
        prefix: str = "",
        *,
        name: str | None = None,
        download: ModelDownload = ModelDownload.SAGEMAKER,
    ) -> BaseModel:
        """Use the model whose files (`config.json`, `*.safetensors`, …) lie under `prefix` in a bucket.

        `name` is what adapters call it (`meta-llama/Llama-3.1-8B-Instruct`); with it, an adapter trained for
        another model is warned of at synth.
        """
        return _BucketModel(bucket, prefix, name=name, download=download)

    @staticmethod
    def from_directory(path: str | Path, *, name: str | None = None) -> BaseModel:
        """Use a model in a local directory, uploaded as an asset: for small models.

        Adapters are compared with its `config.json` at synth. `name` is by default what that says, or else
        the directory's name.
        """
        return _DirectoryModel(Path(path), name=name)

    @staticmethod
    def from_hugging_face_hub(model_id: str, *, revision: str | None = None) -> BaseModel:
        """Use a public model that the container downloads from the Hugging Face Hub when it starts.

        Not for gated models: a token would be readable in the model's environment. Those can be copied.
        """
        return _StartupModel(model_id, revision=revision)

    @staticmethod
    def copied_from_hub(
        model_id: str,
        *,
        revision: str,
        bucket: s3.IBucket,
        prefix: str = "",
        token: secretsmanager.ISecret | None = None,
        name: str | None = None,
        hub_endpoint: str = HUB,
        timeout: Duration | None = None,
        part_size: Size | None = None,
        max_concurrency: int | None = None,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = LOGS_KEPT,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] = (),
    ) -> BaseModel:
        """Use a model that the deployment copies from the Hugging Face Hub into a bucket; see `HubModel`.

        Each endpoint that is given it has a `HubModel` as a child. What is there already is not copied again.
        """
        # Imported here, as it needs this class.
        from multi_adapter_inference.hub_model import (
            DEFAULT_CONCURRENCY,
            DEFAULT_PART_SIZE,
            DEFAULT_TIMEOUT,
            CopiedModel,
            HubSource,
        )

        return CopiedModel(
            HubSource(
                model_id=model_id,
                revision=revision,
                bucket=bucket,
                prefix=prefix,
                token=token,
                name=name,
                hub_endpoint=hub_endpoint,
                timeout=timeout or DEFAULT_TIMEOUT,
                part_size=part_size or DEFAULT_PART_SIZE,
                max_concurrency=DEFAULT_CONCURRENCY if max_concurrency is None else max_concurrency,
                functions=FunctionSettings(
                    encryption_key=encryption_key,
                    log_retention=log_retention,
                    vpc=vpc,
                    vpc_subnets=vpc_subnets,
                    security_groups=security_groups,
                ),
            )
        )

    @abstractmethod
    def bind(self, role: ExecutionRole, /) -> BoundModel:
        """Return what the model resource says of it, and let `role` read it."""


class _BucketModel(BaseModel):
    def __init__(self, bucket: s3.IBucket, prefix: str, *, name: str | None, download: ModelDownload) -> None:
        super().__init__(facts=BaseModelFacts(name=name), needs_network=download is ModelDownload.CONTAINER)
        self._bucket = bucket
        # SageMaker takes every object whose key begins with it.
        self._prefix = as_folder(prefix)
        self._download = download

    def bind(self, role: ExecutionRole, /) -> BoundModel:
        role.read_prefix(self._bucket, self._prefix)
        uri = (
            self._bucket.s3_url_for_object(self._prefix)
            if self._prefix
            else f"s3://{self._bucket.bucket_name}/"
        )
        if self._download is ModelDownload.CONTAINER:
            return BoundModel(environment={"HF_MODEL_ID": uri})
        return BoundModel(
            data_source=sagemaker.CfnModel.ModelDataSourceProperty(
                s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
                    s3_uri=uri, s3_data_type="S3Prefix", compression_type="None"
                )
            )
        )


class _DirectoryModel(BaseModel):
    def __init__(self, path: Path, *, name: str | None) -> None:
        if not path.is_dir():
            raise ValueError(f"'path' should be the directory of a base model, got {str(path)!r}")
        facts = BaseModelFacts.from_directory(path)
        super().__init__(
            facts=facts if name is None else BaseModelFacts(name=name, dimensions=facts.dimensions),
            needs_network=False,
            shape=ModelShape.from_config(read_model_config(path / "config.json")),
        )
        self._path = path

    def bind(self, role: ExecutionRole, /) -> BoundModel:
        location = _MODELS.stage(
            role.scope,
            FileSystem.fingerprint(str(self._path)),
            lambda target: _pack(self._path, target),
            display_name=f"{role.scope.node.path} base model",
        )
        role.read_archives(_MODELS, location)
        return BoundModel(data_url=location.s3_object_url)


class _StartupModel(BaseModel):
    def __init__(self, model_id: str, *, revision: str | None) -> None:
        if not Token.is_unresolved(model_id) and model_id.count("/") != 1:
            raise ValueError(f"'model_id' should be '<organization>/<model>', got {model_id!r}")
        super().__init__(facts=BaseModelFacts(name=model_id), needs_network=True)
        self._environment = {"HF_MODEL_ID": model_id}
        if revision is not None:
            self._environment["OPTION_REVISION"] = revision

    def bind(self, _role: ExecutionRole, /) -> BoundModel:
        return BoundModel(environment=self._environment)


def _pack(directory: Path, target: Path) -> None:
    """Write the files of `directory` to a `.tar.gz` whose bytes depend on their names and contents alone."""
    # A folder of its own, so that `target` appears whole or not at all, also when another run packs it too.
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        unfinished = Path(folder) / target.name
        with (
            unfinished.open("wb") as file,
            # Weights hardly shrink, and this is for small models: speed before size.
            gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as compressed,
            tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for path in sorted(directory.rglob("*")):
                if not path.is_file():
                    continue
                member = tarfile.TarInfo(path.relative_to(directory).as_posix())
                member.size = path.stat().st_size
                with path.open("rb") as content:
                    archive.addfile(member, content)
        unfinished.replace(target)
