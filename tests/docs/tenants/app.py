"""The app of the stack `Tenants`, which many pages name."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker

from adapter_rules.environment import read_environment
from stacks.multi_adapter_inference_stack import MultiAdapterInferenceStack

app = cdk.App()
environment = read_environment(Path(__file__).with_name("tenants.toml"))
stack = MultiAdapterInferenceStack(app, "Tenants", environment=environment)
endpoint = stack.endpoint.node.default_child
assert isinstance(endpoint, sagemaker.CfnEndpoint)
endpoint.endpoint_name = "my-endpoint"
app.synth()
