"""Where a component answers clients of OpenAI's API.

https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-openai-compatible.html
"""


def base_url(runtime: str, *, endpoint: str, component: str) -> str:
    """Return the `base_url` of an OpenAI client for one component.

    runtime:
        The address of SageMaker's runtime API, without a slash at its end.
    """
    return f"{runtime}/endpoints/{endpoint}/inference-components/{component}/openai/v1"
