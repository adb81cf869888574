#!/usr/bin/env python3
"""Deploys the environment named by `cdk deploy -c environment=<name or file>`; `local` by default."""

import sys

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from adapter_rules.environment import read_environment
from stacks.environment import environment_file
from stacks.multi_adapter_inference_stack import MultiAdapterInferenceStack

app = cdk.App()
name = app.node.try_get_context("environment")
if name is None:
    name = "local"
try:
    file = environment_file(name)
    MultiAdapterInferenceStack(app, f"MultiAdapterInference-{file.stem}", environment=read_environment(file))
except ValueError as error:
    # The message names the setting and its problem; a traceback would bury it.
    sys.exit(f"environment '{name}' cannot be deployed:\n{error}")
cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
app.synth()
