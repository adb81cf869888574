"""Where the base model comes from."""

from __future__ import annotations

import gzip
import re
import tarfile
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from aws_cdk import FileSystem
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker

from adapter_fleet.artifacts.archive import CONFIG_FILE
from adapter_fleet.common.validators import holds_token
from adapter_fleet.serving.base_model import BaseModelFacts, read_model_config
from adapter_rules.engines.container_releases import LMI_SETTINGS_FILE
from adapter_rules.hardware.model_shape import ModelShape, known_shape
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.models.artifact_source import as_folder, folder_url
from multi_adapter_inference.models.container import StartupDownload
from multi_adapter_inference.models.execution_role import ExecutionRole
from multi_adapter_inference.template.asset_folder import AssetFolder

_MODELS = AssetFolder(name="base-models")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class ModelDownload(Enum):
    """Who downloads a model from a bucket onto the instance.

    Example::

        BaseModel.from_bucket(
            bucket,
            "llama-3.1-8b-instruct/",
            name="meta-llama/Llama-3.1-8B-Instruct",
            download=ModelDownload.CONTAINER,
        )
    """

    SAGEMAKER = "sagemaker"
    """SageMaker, before the container starts. Works with network isolation."""
    CONTAINER = "container"
    """The container, which reads `HF_MODEL_ID`. Only an `LmiContainer` does."""


@dataclass(frozen=True, kw_only=True)
class BoundModel:
    """A base model as the SageMaker model resource needs it.

    download:
        What the container downloads, if SageMaker downloads nothing.
    """

    download: StartupDownload | None = None
    data_source: sagemaker.CfnModel.ModelDataSourceProperty | None = None
    data_url: str | None = None


@checked
class BaseModel(ABC):
    """The model that the adapters were trained for. Made by one of the `from_*`.

    Example::

        BaseModel.from_bucket(
            bucket, "llama-3.1-8b-instruct/", name="meta-llama/Llama-3.1-8B-Instruct"
        )
    """

    def __init__(
        self,
        *,
        name: str | None,
        needs_network: bool,
        config: str | Path | None = None,
        folder: str = "",
    ) -> None:
        """Take what is known of the model.

        name:
            The name that adapters have for it. None if it is not known.
        needs_network:
            Whether the container downloads it.
        config:
            Its `config.json`. Default: that of the well-known model of its name.
        folder:
            Where its files are, which may say what it is. Default: not known.
        """
        self._facts, self._shape = BaseModelFacts(name=name), known_shape(name)
        if config is not None:
            read = read_model_config(Path(config))
            facts = BaseModelFacts.from_config(read, folder="")
            self._facts = replace(facts, name=name, declared=False)
            self._shape = ModelShape.from_config(read)
        self.needs_network = needs_network
        self.folder = folder

    @staticmethod
    def from_bucket(
        bucket: s3.IBucket,
        prefix: str = "",
        *,
        name: str | None = None,
        config: str | Path | None = None,
        download: ModelDownload = ModelDownload.SAGEMAKER,
    ) -> BaseModel:
        """Use the model whose files (`config.json`, `*.safetensors`, …) are under `prefix` in a bucket.

        prefix:
            A folder of the bucket. Default: the whole bucket.
        name:
            The name that adapters have for it (`meta-llama/Llama-3.1-8B-Instruct`). With it, synth warns of
            an adapter that was trained for another model. Default: not compared.
        config:
            A copy of its `config.json` on this machine. Synth checks the memory of a copy with it, or with
            the `name` of a well-known model, and else warns. Default: the well-known model's.
        download:
            Who downloads it.
        """
        return _BucketModel(bucket, prefix, name=name, config=config, download=download)

    @staticmethod
    def from_directory(path: str | Path, *, name: str | None = None) -> BaseModel:
        """Use a small model in a local directory. The deployment uploads it as an asset.

        Synth compares the adapters with its `config.json`. A `serving.properties` is an error: its settings
        would count more than the container's.

        name:
            The name that adapters have for it. Default: the one in `config.json`, or the directory's name.
        """
        return _DirectoryModel(Path(path), name=name)

    @staticmethod
    def from_hugging_face_hub(
        model_id: str, *, revision: str | None = None, config: str | Path | None = None
    ) -> BaseModel:
        """Use a public model that the container downloads from the Hugging Face Hub when it starts.

        A gated model needs a token, which would be readable in the model's environment: copy the model to a
        bucket with `adapters pull`.

        revision:
            A commit, branch or tag. Default: the hub's main branch.
        config:
            A copy of its `config.json` on this machine, as in `from_bucket`. Default: the well-known model's.
        """
        return _StartupModel(model_id, revision=revision, config=config)

    @abstractmethod
    def _bind(self, role: ExecutionRole, /) -> BoundModel:
        """Let `role` read the model, and return its properties for the model resource."""


class _BucketModel(BaseModel):
    def __init__(
        self,
        bucket: s3.IBucket,
        prefix: str,
        *,
        name: str | None,
        config: str | Path | None,
        download: ModelDownload,
    ) -> None:
        super().__init__(
            name=name,
            needs_network=download is ModelDownload.CONTAINER,
            config=config,
            folder=prefix,
        )
        self._bucket = bucket
        # SageMaker downloads every object whose key begins with it.
        self._prefix = as_folder(prefix)
        self._download = download

    def _bind(self, role: ExecutionRole, /) -> BoundModel:
        role.read_prefix(self._bucket, self._prefix)
        uri = folder_url(self._bucket, self._prefix)
        if self._download is ModelDownload.CONTAINER:
            return BoundModel(download=StartupDownload(model_id=uri, in_bucket=True))
        return BoundModel(
            data_source=sagemaker.CfnModel.ModelDataSourceProperty(
                s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
                    s3_uri=uri, s3_data_type="S3Prefix", compression_type="None"
                )
            )
        )


class _DirectoryModel(BaseModel):
    def __init__(self, path: Path, *, name: str | None) -> None:
        hint = _hint_for(path)
        if not path.is_dir() or (hint and not (path / "config.json").exists()):
            raise ValueError(f"'path' should be the directory of a base model, got {str(path)!r}{hint}")
        # LMI reads it first, and takes from its environment only what it does not have (ModelInfo.java).
        if (path / LMI_SETTINGS_FILE).is_file():
            raise ValueError(
                f"'path' should have no {LMI_SETTINGS_FILE}, which counts more than the settings of the"
                f" container; give them as its 'environment', got {str(path / LMI_SETTINGS_FILE)!r}"
            )
        super().__init__(
            name=name or BaseModelFacts.from_directory(path).name,
            needs_network=False,
            config=path / "config.json",
        )
        self._path = path

    def _bind(self, role: ExecutionRole, /) -> BoundModel:
        location = _MODELS.stage(
            role.scope,
            FileSystem.fingerprint(str(self._path)),
            lambda target: _pack(self._path, target),
            display_name=f"{role.scope.node.path} base model",
        )
        role.read_archives(_MODELS, location)
        return BoundModel(data_url=location.s3_object_url)


class _StartupModel(BaseModel):
    def __init__(self, model_id: str, *, revision: str | None, config: str | Path | None) -> None:
        if not holds_token(model_id) and model_id.count("/") != 1:
            raise ValueError(f"'model_id' should be '<organization>/<model>', got {model_id!r}")
        super().__init__(name=model_id, needs_network=True, config=config)
        self._download = StartupDownload(model_id=model_id, revision=revision)

    def _bind(self, _role: ExecutionRole, /) -> BoundModel:
        return BoundModel(download=self._download)


def _hint_for(path: Path) -> str:
    """Return what a path may be that is no model, to be put behind it; '' if that is not known."""
    if (path / CONFIG_FILE).is_file():
        return "; it is an adapter: name the folder of its base model"
    if any(path.glob("*.gguf")):
        return "; it has a GGUF file of llama.cpp: download the model as safetensors"
    if _HUB_NAME.fullmatch(str(path)) and not path.parent.exists():
        return (
            f"; a model of the Hub is downloaded first: hf download {path} --local-dir {path.name}; or use"
            " BaseModel.from_hugging_face_hub"
        )
    return ""


def _pack(directory: Path, target: Path) -> None:
    """Write the files of `directory` to a `.tar.gz` whose bytes depend only on their names and contents."""
    # In a folder of its own, `target` appears whole or not at all, also if another run packs it too.
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        unfinished = Path(folder) / target.name
        with (
            unfinished.open("wb") as file,
            # Weights hardly shrink, and the models here are small: speed before size.
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
