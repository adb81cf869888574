"""What a report names as its engine, from the answers of a fake SageMaker."""

from typing import Any

import pytest

from adapters_cli.aws.account import Account
from adapters_cli.aws.engine_name import BaseContainer, engine_name
from tests.fakes import client_error

REGISTRY = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
LMI = f"{REGISTRY}/djl-inference:0.36.0-lmi19.0.0-cu128"
LMI_NAME = "LMI 19 (vLLM 0.14.0, djl-inference:0.36.0-lmi19.0.0-cu128)"
VLLM = f"{REGISTRY}/vllm:server-sagemaker-cuda-v2.6"


class FakeSageMaker:
    """An endpoint `llm` with a base and an adapter."""

    def __init__(self, image: str = LMI, *, header: str | None = None, denied: bool = False) -> None:
        self.image, self.denied = image, denied
        self.headers = {} if header is None else {"x-local-sagemaker-engine": header}

    def describe_inference_component(self, *, InferenceComponentName: str) -> dict[str, Any]:  # noqa: N803
        specifications = {"base": {"ModelName": "model"}, "acme": {"BaseInferenceComponentName": "base"}}
        if InferenceComponentName not in specifications:
            raise client_error("ValidationException", "Could not find inference component")
        return {
            "EndpointName": "llm",
            "Specification": specifications[InferenceComponentName],
            "RuntimeConfig": {"CurrentCopyCount": 2},
            "ResponseMetadata": {"HTTPHeaders": self.headers},
        }

    def describe_model(self, *, ModelName: str) -> dict[str, Any]:  # noqa: N803
        if self.denied:
            raise client_error("AccessDeniedException", "no")
        return {"PrimaryContainer": {"Image": self.image}}


class AccountOf(Account):
    def __init__(self, sagemaker: FakeSageMaker) -> None:
        self._sagemaker = sagemaker

    def client(self, service: str, config: Any = None) -> Any:
        return self._sagemaker


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (LMI, LMI_NAME),
        (VLLM, "vLLM server 2.6 (vLLM 0.30.0, vllm:server-sagemaker-cuda-v2.6)"),
        ("my.registry/engine:7", "my.registry/engine:7"),
    ],
)
def test_engine_on_aws_is_what_the_image_of_the_model_holds(image: str, name: str) -> None:
    assert engine_name(AccountOf(FakeSageMaker(image)), "llm", "base") == name
    # The embedded cloud names what really runs.
    assert engine_name(AccountOf(FakeSageMaker(image, header="NumPy")), "llm", "base") == "NumPy"


def test_engine_that_nothing_tells_has_no_name() -> None:
    account, denied = AccountOf(FakeSageMaker()), AccountOf(FakeSageMaker(denied=True))
    for asked, endpoint, component in (
        (denied, "llm", "base"),
        (account, "llm", "no such component"),
        (account, "another", "base"),
    ):
        assert engine_name(asked, endpoint, component) is None


def test_base_of_an_adapter_is_read_with_its_copies() -> None:
    found = BaseContainer.read(AccountOf(FakeSageMaker()), "acme")
    assert (found.component, found.copies, found.engine) == ("base", 2, LMI_NAME)
