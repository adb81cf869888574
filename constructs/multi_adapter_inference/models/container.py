"""The containers that serve a base model with its adapters."""

# No postponed annotations: the argument checks would look for their names in the modules of the subclasses.

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from aws_cdk import Annotations, Aws, CfnMapping, Stack, Token
from aws_cdk import aws_ecr as ecr
from constructs import Construct, IConstruct

from adapter_rules.engines.container_releases import REGISTRY_ACCOUNTS, LmiVersion, VllmVersion
from adapter_rules.engines.engine_settings import EngineSettings
from adapter_rules.engines.lora_limits import LoraServing
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.template.stack_location import stack_of

MAX_ENVIRONMENT_ENTRIES = 100
"""The limit of a model's container (`EnvironmentMap` in botocore 1.43.106).

The container of an inference component may have 16, but the base's component has a model instead of one.
"""

_GUIDE = "the guide 'Containers'"

_EXTERNAL_CACHES = ("KV_TRANSFER_CONFIG", "KV_OFFLOADING_SIZE", "LMCACHE_AUTO_CONFIG", "LMCACHE_CONFIG_FILE")
"""The settings that give vLLM a cache outside of the accelerators.

With one, vLLM hashes and finds prefixes also where prefix caching is off (0.32.0, vllm/v1/engine/core.py and
vllm/v1/core/sched/scheduler.py). LMI makes a `kv_transfer_config` of its own LMCACHE settings.
"""

# The CDK keeps a warning once, but takes a while to find that out.
_warned: WeakKeyDictionary[IConstruct, set[str]] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class ContainerImage:
    """The container's image: its URI, and the ECR repository that the execution role must read."""

    uri: str
    repository_arn: str


@dataclass(frozen=True, kw_only=True)
class StartupDownload:
    """A model that the container downloads when it starts.

    model_id:
        The model on the Hugging Face Hub, or a prefix in S3.
    revision:
        A commit, branch or tag on the hub. Default: its main branch.
    """

    model_id: str
    in_bucket: bool = False
    revision: str | None = None


@checked
@dataclass(frozen=True, kw_only=True)
class IContainer(ABC):
    """A container that serves a base model with its adapters: an `LmiContainer` or a `VllmContainer`.

    Its attributes are the arguments of these two.

    Example::

        def is_on_cuda_13(container: IContainer) -> bool:
            return container.version.needs_newer_ami

        is_on_cuda_13(VllmContainer(version=VllmVersion.V2_6))
    """

    version: LmiVersion | VllmVersion
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix_caching: bool = False
    repository: ecr.IRepository | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        if self.tag is not None and self.repository is None:
            raise ValueError(f"'tag' should come with 'repository', got {self.tag!r} alone")

    @property
    @abstractmethod
    def registry_mapping_id(self) -> str:
        """The id of the CloudFormation mapping from regions to the accounts of the image."""

    @property
    def _engine(self) -> EngineSettings:
        """The settings of the engine in `environment`."""
        return EngineSettings.from_environment(self.environment, self.version.variables)

    def _image(self, scope: Construct) -> ContainerImage:
        """Return the image for the region of `scope`.

        Raises ValueError for a region where no such image is known.
        """
        tag, name = self.tag or self.version.tag, self.version.repository
        if self.repository is not None:
            return ContainerImage(
                uri=self.repository.repository_uri_for_tag_or_digest(tag),
                repository_arn=self.repository.repository_arn,
            )
        stack = stack_of(scope)
        account = self._registry_account(stack)
        return ContainerImage(
            uri=f"{account}.dkr.ecr.{stack.region}.{stack.url_suffix}/{name}:{tag}",
            repository_arn=stack.format_arn(
                service="ecr", account=account, resource="repository", resource_name=name
            ),
        )

    def _environment_for(self, lora: LoraServing, download: StartupDownload | None) -> dict[str, str]:
        """Return the container's whole environment: the library's settings, the model's and the user's.

        Raises ValueError if two of them have the same setting, or if there are too many.
        """
        environment = self.version.environment(lora, prefix_caching=self.prefix_caching)
        environment |= self._of_download(download)
        for setting, value in sorted(self.environment.items()):
            self._check_variable(setting, value, environment)
        environment |= self.environment
        if len(environment) > MAX_ENVIRONMENT_ENTRIES:
            raise ValueError(
                f"the container's environment should have at most {MAX_ENVIRONMENT_ENTRIES} entries, got"
                f" {len(environment)}: {', '.join(sorted(environment))}"
            )
        return dict(sorted(environment.items()))

    def _check_variable(self, setting: str, value: str, of_library: Mapping[str, str]) -> None:
        # Both containers take the names in lower case, too (ModelInfo in djl-serving, sagemaker_args.py).
        name = setting.upper()
        # vLLM's container would have two flags then, and which one counts depends on its release.
        if name.endswith("ENABLE_PREFIX_CACHING") and self._prefix_caching_is_off:
            raise ValueError(
                f"'environment' of the container should not set {setting}, as 'prefix_caching' says it,"
                f" got {value!r}"
            )
        if name.endswith(_EXTERNAL_CACHES) and self._prefix_caching_is_off:
            raise ValueError(
                f"'environment' of the container should not set {setting} without prefix_caching=True, as it"
                f" is a cache of prefixes, too, got {value!r}"
            )
        if name in of_library:
            raise ValueError(
                f"'environment' of the container should not set {setting}, which the library sets to"
                f" {of_library[name]!r}, got {value!r}"
            )
        if name in self.version.model_variables:
            raise ValueError(
                f"'environment' of the container should not set {setting}, which would replace the base"
                f" model, got {value!r}"
            )

    def _of_download(self, download: StartupDownload | None) -> dict[str, str]:
        if download is None:
            return {}
        if download.in_bucket and not self.version.downloads_from_buckets:
            raise ValueError(
                "'download' of the base model should be ModelDownload.SAGEMAKER with"
                f" {self.version.title}, got ModelDownload.CONTAINER"
            )
        revision = {} if download.revision is None else {self.version.revision_variable: download.revision}
        return {"HF_MODEL_ID": download.model_id, **revision}

    def annotate(self, scope: Construct, *, inference_ami_version: str | None, model_in_s3: bool) -> None:
        """Add to `scope` what a user of the release and its settings should know.

        `model_in_s3` says that synth does not see the base model's files.
        """
        annotations, release = Annotations.of(scope), self.version
        for fault in release.known_faults:
            annotations.add_warning_v2(f"multi-adapter-inference:{fault.id}", fault.text)
        if release.needs_newer_ami and inference_ami_version is None:
            annotations.add_warning_v2(
                "multi-adapter-inference:cuda13-needs-newer-ami",
                f"{release.title} is built on CUDA 13; without 'inference_ami_version', such as"
                f" {release.inference_ami_version}, the instances may start with a driver that is too old",
            )
        for setting, value in sorted(self.environment.items()):
            if "lmcache" in f"{setting}={value}".lower():
                annotations.add_warning_v2(
                    "multi-adapter-inference:lmcache-mixes-adapters",
                    f"{setting} is for LMCache, which finds prefixes by their text and not by the adapter"
                    " (vllm #44250, LMCache #2961): adapters may answer with prefixes of one another",
                )
            if setting.upper().endswith("ENABLE_TOWER_CONNECTOR_LORA") and value.lower() != "false":
                annotations.add_warning_v2(
                    "multi-adapter-inference:encoder-cache-outlives-update",
                    f"with {setting}, adapters change how images are read, and the engine finds what it read"
                    " by the adapter's name (vllm #44939): an updated adapter may answer with what its old"
                    f" version read; give each version a component of its own ({_GUIDE})",
                )
        if self._prefix_caching_is_off:
            annotations.add_info_v2(
                "multi-adapter-inference:prefix-caching-off",
                "prefix caching is off, so what prompts have in common is computed for each of them:"
                f" {self._danger()}; prefix_caching=True keeps it on, which is safe if each version of an"
                f" adapter has a component of its own ({_GUIDE}){self._stronger_settings(model_in_s3)}",
            )
        elif release.prefix_caching_off:
            annotations.add_info_v2(
                "multi-adapter-inference:prefix-caching-on",
                f"prefix caching is on: {self._danger()}; synth warns of adapters that this app updates in"
                f" place, but not in an app that imports this endpoint ({_GUIDE})",
            )

    def _stronger_settings(self, model_in_s3: bool) -> str:
        if not model_in_s3 or self.version.settings_file is None:
            return ""
        return (
            f"; a {self.version.settings_file} beside the base model in S3, which synth does not see, counts"
            " more than this setting"
        )

    def warn_of_updates_in_place(self, endpoint: IConstruct) -> None:
        """Add one warning to an endpoint, however often it is called, if an update may not show at once.

        The engine may then answer for an adapter's new version with prefixes that it cached of the old one.
        """
        if self.version.prefix_caching_off and self.prefix_caching:
            self._warn_once(
                endpoint,
                "prefix-cache-outlives-update",
                f"prefix caching is on and adapters are updated in place: {self._danger()}, with text that is"
                " neither version's and without an error; leave 'prefix_caching' off, or give each version of"
                f" an adapter a component of its own ({_GUIDE})",
            )

    def warn_of_unchecked_archives(self, endpoint: IConstruct) -> None:
        """Add one warning to an endpoint, however often it is called, if an archive may run code."""
        if self.version.runs_code_of_adapters:
            self._warn_once(
                endpoint,
                "archives-in-s3-not-checked",
                f"{self.version.title} runs a model.py that it finds in an adapter's archive, and those in S3"
                " are not checked at synth: everybody who can write there can run code in the container",
            )

    @property
    def _prefix_caching_is_off(self) -> bool:
        return bool(self.version.prefix_caching_off) and not self.prefix_caching

    def _danger(self) -> str:
        return (
            f"{self.version.title} finds cached prefixes by the adapter's name, so after an update in place"
            " the new version may answer with those of the old one"
        )

    @staticmethod
    def _warn_once(scope: IConstruct, id: str, text: str) -> None:
        ids = _warned.setdefault(scope, set())
        if id not in ids:
            ids.add(id)
            Annotations.of(scope).add_warning_v2(f"multi-adapter-inference:{id}", text)

    def _registry_account(self, stack: Stack) -> str:
        regions = self.version.regions
        accounts = {region: account for region, account in REGISTRY_ACCOUNTS.items() if region in regions}
        if not Token.is_unresolved(stack.region):
            account = accounts.get(stack.region)
            if account is None:
                raise ValueError(
                    f"no image of {self.version.title} is known to be published in the region"
                    f" {stack.region!r}; give 'repository', or use one of"
                    f" {', '.join(sorted(accounts))}"
                )
            return account
        everywhere = accounts.keys() == REGISTRY_ACCOUNTS.keys()
        mapping_id = self.registry_mapping_id + ("" if everywhere else f"-{self.version.tag}")
        mapping = stack.node.try_find_child(mapping_id)
        if not isinstance(mapping, CfnMapping):
            mapping = CfnMapping(
                stack,
                mapping_id,
                mapping={region: {"account": account} for region, account in accounts.items()},
            )
        return mapping.find_in_map(Aws.REGION, "account")


@checked
@dataclass(frozen=True, kw_only=True)
class LmiContainer(IContainer):
    """AWS's Large Model Inference container (djl-inference), or an image built on it.

    version:
        The release. It decides how adapters are served, also for an image of your own.
    environment:
        More settings (`OPTION_MAX_MODEL_LEN`, …). A setting of the library is an error. Default: none.
    prefix_caching:
        Whether the engine keeps what it computed of a prompt's beginning for the next request. If it does, an
        adapter that is updated in place may answer with text of its previous version.
    repository:
        The ECR repository of an image of your own, built on that release. Default: AWS's image.
    tag:
        The tag in `repository`. Default: the release's tag.

    Example::

        LmiContainer(version=LmiVersion.V28, environment={"OPTION_MAX_MODEL_LEN": "4096"})
    """

    registry_mapping_id = "LmiRegistryAccounts"

    version: LmiVersion


@checked
@dataclass(frozen=True, kw_only=True)
class VllmContainer(IContainer):
    """AWS's vLLM container for SageMaker (`vllm:server-sagemaker-cuda-…`), or an image built on it.

    It takes OpenAI's request bodies only, and serves the endpoint's OpenAI path. vLLM uses one accelerator of
    a copy unless `SM_VLLM_TENSOR_PARALLEL_SIZE` says otherwise.

    `LmiContainer` explains the other arguments.

    environment:
        More settings: `SM_VLLM_MAX_MODEL_LEN` is vLLM's `--max-model-len`. A setting of the library is an
        error.

    Example::

        VllmContainer(version=VllmVersion.V2_6, environment={"SM_VLLM_MAX_MODEL_LEN": "4096"})
    """

    registry_mapping_id = "VllmRegistryAccounts"

    version: VllmVersion
