#!/usr/bin/env python3
"""Deploys the environment named by `cdk deploy -c environment=<name or file>`; `local` by default."""

import sys

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from stacks.environment import EnvironmentFileError, environment_file, load
from stacks.multi_adapter_inference_stack import MultiAdapterInferenceStack

app = cdk.App()
try:
    file = environment_file(app.node.try_get_context("environment") or "local")
    environment = load(file)
except EnvironmentFileError as error:
    sys.exit(str(error))
MultiAdapterInferenceStack(app, f"MultiAdapterInference-{file.stem}", environment=environment)
cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
app.synth()
