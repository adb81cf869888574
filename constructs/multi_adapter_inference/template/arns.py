"""ARNs of endpoints and inference components, as IAM compares them."""

import re
from collections.abc import Sequence

from aws_cdk import Annotations
from constructs import Construct

from adapter_fleet.common.validators import TOKEN
from multi_adapter_inference.template.stack_location import stack_of

_ENDPOINT_ARN = re.compile(r"arn:[a-z-]+:sagemaker:[a-z0-9-]+:\d{12}:endpoint/[a-z0-9-]+")


def endpoint_arn(scope: Construct, name: str) -> str:
    """Return the ARN of the endpoint of that name, in lower case as SageMaker writes it."""
    return _arn(scope, "endpoint", _lower(name))


def imported_endpoint_arn(scope: Construct, name: str, arn: str | None) -> str:
    """Return the ARN of an endpoint of another app; `arn` if it is given.

    Synth cannot write a token in lower case, so a name that is one may make an ARN that no request has.
    Raises ValueError for what is no ARN of an endpoint in lower case.
    """
    if arn is not None:
        if TOKEN not in arn and _ENDPOINT_ARN.fullmatch(arn) is None:
            raise ValueError(f"'endpoint_arn' should be the ARN of an endpoint, in lower case, got {arn!r}")
        return arn
    if TOKEN in name:
        Annotations.of(scope).add_warning_v2(
            "multi-adapter-inference:endpoint-arn-unknown",
            "'endpoint_name' is a token: grants work only if the endpoint's name is in lower case, as in its"
            " ARN; give 'endpoint_arn', such as an output of the stack that has the endpoint",
        )
    return endpoint_arn(scope, name)


def component_arn(scope: Construct, name: str) -> str:
    """Return the ARN of the inference component of that name, in the name's own case."""
    return _arn(scope, "inference-component", name)


def component_arn_spellings(scope: Construct, name: str) -> Sequence[str]:
    """Return the ARN of an inference component in each spelling that IAM may compare with, lower case first.

    IAM compares ARNs letter by letter. SageMaker writes those of endpoints in lower case
    (philschmid/cdk-samples #2). For components, that is inferred.
    """
    return [component_arn(scope, spelling) for spelling in dict.fromkeys((_lower(name), name))]


def _arn(scope: Construct, kind: str, name: str) -> str:
    return stack_of(scope).format_arn(service="sagemaker", resource=kind, resource_name=name)


def _lower(name: str) -> str:
    return name if TOKEN in name else name.lower()
