"""AWS's vLLM container for SageMaker: its releases and their settings for LoRA."""

from collections.abc import Collection, Mapping
from enum import Enum

from adapter_fleet.serving.container_release import KnownFault, check_rank
from adapter_fleet.serving.engine_settings import VLLM_VARIABLES
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.registry_accounts import REGISTRY_ACCOUNTS
from adapter_fleet.serving.vllm_engine import VllmEngine

_FIRST_CUDA_13 = (2, 0)
_FIRST_IN_FEWER_REGIONS = (2, 5)
# `vllm-server.json` of the SageMaker Python SDK lists them for 2.4, and not for 2.5 and 2.6.
_REGIONS_UNTIL_2_4 = frozenset(
    {"cn-north-1", "cn-northwest-1", "eusc-de-east-1", "us-gov-east-1", "us-gov-west-1"}
)


class VllmVersion(Enum):
    """A release of AWS's vLLM container. Each value is the image's tag and the version of vLLM in it.

    1.3 is the first with adapters that a request's header picks. Source: the changelog of
    aws/deep-learning-containers, and from 2.4 on its release notes.

    Example::

        VllmContainer(version=VllmVersion.V2_6)
    """

    # 1.3 and 1.4 have a build of vLLM from between 0.19 and 0.20, and 2.0 a candidate of 0.22.1.
    V1_3 = ("server-sagemaker-cuda-v1.3", "0.20.0")
    V1_4 = ("server-sagemaker-cuda-v1.4", "0.20.0")
    """The last on CUDA 12, whose driver SageMaker's default AMI has."""
    V2_0 = ("server-sagemaker-cuda-v2.0", "0.22.1")
    V2_1 = ("server-sagemaker-cuda-v2.1", "0.24.0")
    V2_2 = ("server-sagemaker-cuda-v2.2", "0.26.0")
    V2_3 = ("server-sagemaker-cuda-v2.3", "0.27.0")
    V2_4 = ("server-sagemaker-cuda-v2.4", "0.27.1")
    V2_5 = ("server-sagemaker-cuda-v2.5", "0.30.0")
    V2_6 = ("server-sagemaker-cuda-v2.6", "0.30.0")

    def __init__(self, tag: str, vllm_version: str) -> None:
        self.tag = tag
        self.engine = VllmEngine(vllm_version)
        self.repository = "vllm"
        self.variables = VLLM_VARIABLES
        self.model_variables = frozenset({"HF_MODEL_ID", "SM_VLLM_MODEL"})
        self.revision_variable = "SM_VLLM_REVISION"
        # vLLM itself streams weights from S3, with a library that not every release has.
        self.downloads_from_buckets = False
        self.settings_file = None
        # It runs `code/model.py` of the base model, and nothing of an adapter.
        self.runs_code_of_adapters = False
        self.known_faults: tuple[KnownFault, ...] = ()

    @classmethod
    def numbered(cls, number: str) -> "VllmVersion":
        """Return the release of that number; ValueError if it is not known."""
        versions = {version.number: version for version in cls}
        if number not in versions:
            raise ValueError(f"should be one of {', '.join(versions)}, got {number!r}")
        return versions[number]

    @property
    def number(self) -> str:
        """The release's number, 2.6 for `V2_6`."""
        return self.name.removeprefix("V").replace("_", ".")

    @property
    def title(self) -> str:
        """The release in messages: vLLM server 2.6 for `V2_6`."""
        return f"vLLM server {self.number}"

    @property
    def regions(self) -> Collection[str]:
        """The regions in which AWS publishes the image, as far as it is known."""
        without = _REGIONS_UNTIL_2_4 if self._is_from(_FIRST_IN_FEWER_REGIONS) else frozenset()
        return REGISTRY_ACCOUNTS.keys() - without

    @property
    def needs_newer_ami(self) -> bool:
        """True if it is built on CUDA 13, for which the driver of SageMaker's default AMI is too old."""
        return self._is_from(_FIRST_CUDA_13)

    @property
    def prefix_caching_off(self) -> Mapping[str, str]:
        """The environment variable that switches prefix caching off.

        The entrypoint makes a flag of each SM_VLLM_ variable that is "true", and drops those that are "false"
        (scripts/docker/vllm/sagemaker_args.py). So SM_VLLM_ENABLE_PREFIX_CACHING=false changes nothing.
        """
        return {"SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true"} if self.engine.may_answer_for_predecessor else {}

    def environment(self, lora: LoraServing, *, prefix_caching: bool) -> dict[str, str]:
        """Return the environment variables that the library sets.

        Raises ValueError if this release's engine does not support the rank.
        """
        check_rank(self, lora.max_lora_rank)
        environment = {
            "SM_VLLM_ENABLE_LORA": "true",
            # Without it the container has no path to register adapters, and SageMaker reports them InService.
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
            **self.variables.for_lora(lora),
        }
        return environment if prefix_caching else {**environment, **self.prefix_caching_off}

    def _is_from(self, first: tuple[int, int]) -> bool:
        return tuple(map(int, self.number.split("."))) >= first
