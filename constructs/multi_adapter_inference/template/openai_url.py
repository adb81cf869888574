"""The URL of a component for OpenAI's API, as a template has it."""

from __future__ import annotations

from constructs import IConstruct

from adapter_fleet.openai.urls import base_url
from multi_adapter_inference.template.stack_location import stack_of


def openai_base_url(scope: IConstruct, endpoint: str, component: str) -> str:
    """Return the `base_url` of an OpenAI client for a component in the region of a construct."""
    stack = stack_of(scope)
    runtime = f"https://runtime.sagemaker.{stack.region}.{stack.url_suffix}"
    return base_url(runtime, endpoint=endpoint, component=component)
