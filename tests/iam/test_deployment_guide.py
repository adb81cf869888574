"""The security guide has policies for a deployment, made of the reviewed template of `prod.toml`."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.iam.check import statement_faults
from tests.iam.deployment_guide import (
    deployer_statements,
    execution_statements,
    in_guide,
    size,
    text,
    types,
    write,
)
from tests.iam.pieces import as_list

_LIMIT = 6144
"""IAM's limit of a managed policy, in characters without spaces."""
_LONGER_NAMES = 450
"""Room for names that are longer than the words in capitals."""


def test_the_guide_has_the_policies_of_a_deployment() -> None:
    if os.environ.get("RECORD") == "1":
        write()
    assert in_guide() == text(), "RECORD=1 writes it"


@pytest.mark.parametrize("statements", [execution_statements(), deployer_statements()])
def test_a_policy_of_a_deployment_fits_the_reference_and_the_limit(statements: list[dict[str, Any]]) -> None:
    assert [fault for one in statements for fault in statement_faults(one, as_list(one["Resource"]))] == []
    assert size(statements) <= _LIMIT - _LONGER_NAMES


@pytest.mark.parametrize("type_", types())
def test_every_type_of_the_template_can_be_created(type_: str) -> None:
    creates = {
        "AWS::ApplicationAutoScaling::ScalableTarget": "application-autoscaling:RegisterScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy": "application-autoscaling:PutScalingPolicy",
        "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm",
        "AWS::CloudWatch::Dashboard": "cloudwatch:PutDashboard",
        "AWS::Events::Rule": "events:PutRule",
        "AWS::IAM::Policy": "iam:PutRolePolicy",
        "AWS::Lambda::Permission": "lambda:AddPermission",
        "AWS::SQS::QueuePolicy": "sqs:SetQueueAttributes",
    }
    _, service, name = type_.lower().split("::")
    services = {"stepfunctions": "states"}
    action = creates.get(type_, f"{services.get(service, service)}:create{name}").lower()
    assert action in {each.lower() for one in execution_statements() for each in as_list(one["Action"])}
