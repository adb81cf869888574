"""The releases of the containers that serve adapters: LMI (djl-inference), and AWS's vLLM container."""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import NamedTuple, Self

from adapter_rules.engines.engine_settings import LMI_VARIABLES, VLLM_VARIABLES, EngineVariables
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.engines.mixing_faults import MIXING_FAULTS, MixingFault, Program, Versions
from adapter_rules.engines.vllm_engine import VllmEngine

_DEFAULT_ACCOUNT = "763104351884"

REGISTRY_ACCOUNTS = {
    **dict.fromkeys(
        (
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-south-1",
            "ap-southeast-1",
            "ap-southeast-2",
            "ca-central-1",
            "eu-central-1",
            "eu-north-1",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "sa-east-1",
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
        ),
        _DEFAULT_ACCOUNT,
    ),
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "eusc-de-east-1": "204133271717",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}
"""The account whose ECR holds the images, by region (AWS's "Available Deep Learning Containers Images").

The repositories djl-inference and vllm have the same accounts (`djl-lmi.json` and `vllm-server.json` of the
SageMaker Python SDK). Not every release of vllm is in every region (`VllmVersion.regions`). aws-cdk-lib's
RegionInfo lacks nine of these regions, ca-west-1 and us-gov-west-1 among them.
"""

INFERENCE_AMI_FOR_CUDA_13 = "al2023-ami-sagemaker-inference-gpu-4-1"
"""The image of instances whose driver, 580, is new enough for CUDA 13 (SageMaker's API reference)."""


class KnownFault(NamedTuple):
    """A fault of an image: the id to acknowledge its warning by, and what happens."""

    id: str
    text: str


class ContainerRelease(Enum):
    """A release of either container. Each value is the image's tag and the version of vLLM in it.

    repository, tag:
        The name of AWS's ECR repository, and the image's tag in it.
    number, title:
        The release's number, and how messages call it.
    engine, versions:
        The vLLM in it, and the versions of all programs that have known faults.
    regions:
        The regions in which AWS publishes the image, as far as it is known.
    needs_newer_ami:
        True if it is built on CUDA 13, for which the driver of SageMaker's default AMI is too old.
    runs_code_of_adapters:
        True if it runs a `model.py` that it finds in an adapter's archive.
    variables:
        The names of its environment variables for the engine's settings.
    always_set, prefix_caching_off:
        The environment variables that the library sets, and those that switch prefix caching off. Those are
        empty if no version of an adapter finds what its predecessor cached.
    model_variables, revision_variable:
        The environment variables that name the model to it, and the revision of a model of the Hugging Face
        Hub.
    downloads_from_buckets:
        True if it downloads a model whose HF_MODEL_ID is a prefix in S3.
    settings_file:
        The file beside the model whose settings count more than environment variables.
    """

    repository: str
    tag: str
    number: int | str
    title: str
    engine: VllmEngine
    versions: Versions
    regions: Collection[str]
    needs_newer_ami: bool
    runs_code_of_adapters: bool
    variables: EngineVariables
    always_set: Mapping[str, str]
    prefix_caching_off: Mapping[str, str]
    model_variables: frozenset[str]
    revision_variable: str
    downloads_from_buckets: bool
    settings_file: str | None

    @classmethod
    def numbered(cls, number: int | str) -> Self:
        """Return the release of that number; ValueError if it is not known."""
        known = {release.number: release for release in cls}
        if number not in known:
            raise ValueError(f"should be one of {', '.join(map(str, known))}, got {number!r}")
        return known[number]

    @property
    def inference_ami_version(self) -> str | None:
        """The image of instances that it needs; None for SageMaker's default."""
        return INFERENCE_AMI_FOR_CUDA_13 if self.needs_newer_ami else None

    @property
    def known_faults(self) -> tuple[KnownFault, ...]:
        """The faults of this release that no setting avoids."""
        return tuple(
            KnownFault(fault.id, _warning(fault, self))
            for fault in MIXING_FAULTS
            if fault.avoided_by is None and fault.affects(self.versions)
        )

    def check_rank(self, rank: int) -> None:
        """Raise ValueError if the engine of this release does not support the maximum rank."""
        if rank == 1 and not self.engine.serves_rank_1:
            raise ValueError(f"'max_lora_rank' should be at least 8 with {self.title}, got {rank}")

    def environment(self, lora: LoraServing, *, prefix_caching: bool) -> dict[str, str]:
        """Return the environment variables that the library sets.

        Raises ValueError if this release's engine does not support the rank.
        """
        self.check_rank(lora.max_lora_rank)
        environment = {**self.always_set, **self.variables.for_lora(lora)}
        return environment if prefix_caching else {**environment, **self.prefix_caching_off}


_FIRST_LMI_ON_CUDA_13 = 25
_FIRST_TO_RUN_ADAPTERS_CODE = 18
# Before, djl_python drops an engine's argument whose value is "false" (`construct_vllm_args_list` in the
# branches of LMI 17 to 25). It passes any other value on as the next argument, and of two flags for one
# setting vLLM's parser takes the last. The branch of LMI 26 has the change (#3051) since 2026-06-15; whether
# its image is older is not known, and the flag works with both.
_FIRST_TO_PASS_FALSE_ON = 27

LMI_SETTINGS_FILE = "serving.properties"
"""A file beside the model, whose options count more than the environment (ModelInfo in djl-serving)."""


class LmiVersion(ContainerRelease):
    """A release of the LMI container. Each value is the image's tag and the version of vLLM in it.

    Example::

        LmiContainer(version=LmiVersion.V28)
    """

    # The first that serves adapters with vLLM's own asynchronous engine.
    V16 = ("0.34.0-lmi16.0.0-cu128", "0.10.2")
    V17 = ("0.35.0-lmi17.0.0-cu128", "0.11.1")
    V18 = ("0.36.0-lmi18.0.0-cu128", "0.12.0")
    V19 = ("0.36.0-lmi19.0.0-cu128", "0.14.0")
    """The image of AWS's newest public notebook on adapter components."""
    V20 = ("0.36.0-lmi20.0.0-cu128", "0.15.1")
    V21 = ("0.36.0-lmi21.0.0-cu129", "0.16.0")
    V22 = ("0.36.0-lmi22.0.0-cu129", "0.17.0")
    V23 = ("0.36.0-lmi23.0.0-cu129", "0.18.0")
    V24 = ("0.36.0-lmi24.0.0-cu129", "0.19.0")
    V25 = ("0.36.0-lmi25.0.0-cu130", "0.20.1")
    V26 = ("0.36.0-lmi26.0.0-cu130", "0.22.1")
    V27 = ("0.36.0-lmi27.0.0-cu130", "0.23.1")
    V28 = ("0.36.0-lmi28.0.0-cu130", "0.26.0")
    V29 = ("0.38.0-lmi29.0.0-cu130", "0.28.0")
    """No source says how it serves adapters. The library assumes that it does as LMI 28."""

    def __init__(self, tag: str, vllm_version: str) -> None:
        self.repository, self.tag = "djl-inference", tag
        self.number: int = int(self.name.removeprefix("V"))
        self.title = f"LMI {self.number}"
        self.engine = VllmEngine(vllm_version)
        self.versions = {Program.VLLM: self.engine.numbers, Program.LMI: (self.number,)}
        self.regions = REGISTRY_ACCOUNTS.keys()
        self.needs_newer_ami = self.number >= _FIRST_LMI_ON_CUDA_13
        self.runs_code_of_adapters = self.number >= _FIRST_TO_RUN_ADAPTERS_CODE
        self.variables = LMI_VARIABLES
        self.always_set = {
            "OPTION_ASYNC_MODE": "true",
            "OPTION_ROLLING_BATCH": "disable",
            "OPTION_ENTRYPOINT": "djl_python.lmi_vllm.vllm_async_service",
            # A base model that cannot start then fails at once, not after the health check's timeout.
            "SERVING_FAIL_FAST": "true",
            "OPTION_ENABLE_LORA": "true",
        }
        off = "false" if self.number >= _FIRST_TO_PASS_FALSE_ON else "--no-enable-prefix-caching"
        caches = self.engine.may_answer_for_predecessor
        self.prefix_caching_off = {"OPTION_ENABLE_PREFIX_CACHING": off} if caches else {}
        self.model_variables = frozenset({"HF_MODEL_ID", "OPTION_MODEL_ID"})
        self.revision_variable = "OPTION_REVISION"
        self.downloads_from_buckets = True
        self.settings_file = LMI_SETTINGS_FILE

    @property
    def known_faults(self) -> tuple[KnownFault, ...]:
        """The faults of this release that no setting avoids."""
        unknown = (_ADAPTERS_UNKNOWN,) if self is LmiVersion.V29 else ()
        return (*super().known_faults, *unknown)


_ADAPTERS_UNKNOWN = KnownFault(
    "lmi29-adapters-unknown",
    "no source says how LMI 29 serves adapters, and the library assumes that it does as LMI 28; try it with a"
    " smoke test before others use it, or use LMI 28",
)

NEWEST_LMI = tuple(LmiVersion)[-1]
"""The default release."""


_FIRST_VLLM_ON_CUDA_13 = (2, 0)
_FIRST_IN_FEWER_REGIONS = (2, 5)
# `vllm-server.json` of the SageMaker Python SDK lists them for 2.4, and not for 2.5 and 2.6.
_REGIONS_UNTIL_2_4 = frozenset(
    {"cn-north-1", "cn-northwest-1", "eusc-de-east-1", "us-gov-east-1", "us-gov-west-1"}
)


class VllmVersion(ContainerRelease):
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
        self.repository, self.tag = "vllm", tag
        self.number: str = self.name.removeprefix("V").replace("_", ".")
        self.title = f"vLLM server {self.number}"
        self.engine = VllmEngine(vllm_version)
        self.versions = {Program.VLLM: self.engine.numbers}
        numbers = tuple(map(int, self.number.split(".")))
        without = _REGIONS_UNTIL_2_4 if numbers >= _FIRST_IN_FEWER_REGIONS else frozenset()
        self.regions = REGISTRY_ACCOUNTS.keys() - without
        self.needs_newer_ami = numbers >= _FIRST_VLLM_ON_CUDA_13
        # It runs `code/model.py` of the base model, and nothing of an adapter.
        self.runs_code_of_adapters = False
        self.variables = VLLM_VARIABLES
        self.always_set = {
            "SM_VLLM_ENABLE_LORA": "true",
            # Without it the container has no path to register adapters, and SageMaker reports them InService.
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
        }
        # The entrypoint makes a flag of each SM_VLLM_ variable that is "true", and drops those that are
        # "false" (scripts/docker/vllm/sagemaker_args.py): ENABLE_PREFIX_CACHING=false changes nothing.
        off = {"SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true"}
        self.prefix_caching_off = off if self.engine.may_answer_for_predecessor else {}
        self.model_variables = frozenset({"HF_MODEL_ID", "SM_VLLM_MODEL"})
        self.revision_variable = "SM_VLLM_REVISION"
        # vLLM itself streams weights from S3, with a library that not every release has.
        self.downloads_from_buckets = False
        self.settings_file = None


def _warning(fault: MixingFault, release: ContainerRelease) -> str:
    text = (
        f"{release.title} may answer a request with another adapter's weights, without an error"
        f" ({', '.join(fault.sources)}): {fault.happens}"
    )
    safe = next((one for one in type(release) if fault.is_fixed_in(one.versions)), None)
    if safe is None:
        return text
    text += f"; only a newer release helps, from {safe.title} on"
    if safe.inference_ami_version is None:
        return text
    return (
        f"{text}; it needs 'inference_ami_version' {safe.inference_ami_version}, and we have not run it on"
        " AWS: weigh a known silent fault against an unknown image (the guide 'Containers')"
    )


RELEASES: tuple[ContainerRelease, ...] = (*LmiVersion, *VllmVersion)
