"""The reference says what each command calls, and files have policies to copy."""

import os
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from tests.iam import commands_guide, deployment_guide, record
from tests.iam.by_hand import by_hand
from tests.iam.check import statement_faults
from tests.iam.commands_guide import FILES, GUIDE, PART, POLICIES, calls_of, commands, statements
from tests.iam.deployment_guide import deployer_statements, execution_statements, size, types
from tests.iam.pieces import as_list, pieces_of

WITHOUT_CALLS = {"token"}
"""It signs a token, and calls nothing."""
_LIMIT = 6144
"""IAM's limit of a managed policy, in characters without spaces."""
_LONGER_NAMES = 450
"""Room for names that are longer than the words in capitals."""


@pytest.mark.slow
def test_the_guide_has_what_is_made_for_it() -> None:
    if os.environ.get("RECORD") == "1":
        PART.write()
    assert PART.in_guide() == PART.text(), "RECORD=1 writes it"


@pytest.mark.slow
def test_the_files_have_the_policies_that_are_made() -> None:
    made = {**commands_guide.files(), **deployment_guide.files()}
    if os.environ.get("RECORD") == "1":
        for name, text in made.items():
            (FILES / name).write_text(text)
    found = {file.name: file.read_text() for file in FILES.iterdir()}
    assert found == made, "RECORD=1 writes them"


def test_the_guide_names_every_file_with_a_policy() -> None:
    named = re.findall(r"\(policies/([a-z-]+\.json)\)", GUIDE.read_text())
    assert sorted(named) == sorted(file.name for file in FILES.iterdir())


def test_every_command_is_on_record() -> None:
    assert {command for command in commands() if not calls_of(command)} <= WITHOUT_CALLS
    assert {call.who for call in record.read() if call.part == "commands"} <= set(commands())
    assert {command for entry in by_hand("commands") for command in entry.roles} <= set(commands())


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_to_copy_allows_what_its_commands_call_and_nothing_else(name: str) -> None:
    called = {piece for command in POLICIES[name] for piece in calls_of(command)}
    allowed = {
        piece.action
        for statement in statements(POLICIES[name])
        for piece in pieces_of(statement, as_list(statement["Resource"]))
    }
    assert allowed == {piece.action for piece in called}
    assert faults_of(statements(POLICIES[name])) == []


@pytest.mark.slow
@pytest.mark.parametrize("made", [execution_statements, deployer_statements])
def test_a_policy_of_a_deployment_fits_the_reference_and_the_limit(
    made: Callable[[], list[dict[str, Any]]],
) -> None:
    statements = made()
    assert faults_of(statements) == []
    assert size(statements) <= _LIMIT - _LONGER_NAMES


def test_a_publisher_makes_and_asks_previews_and_changes_no_other_component() -> None:
    resources: defaultdict[str, set[str]] = defaultdict(set)
    for one in statements(POLICIES["publisher"]):
        for action in as_list(one["Action"]):
            resources[action] |= {each.rpartition("/")[2] for each in as_list(one["Resource"])}
    for made in ("AddTags", "CreateInferenceComponent", "DeleteInferenceComponent"):
        assert resources[f"sagemaker:{made}"] - {"ENDPOINT"} == {"preview-*"}
    assert resources["sagemaker:InvokeEndpoint"] == {"BASE", "ENDPOINT", "preview-*"}


def faults_of(statements: list[dict[str, Any]]) -> list[str]:
    return [fault for one in statements for fault in statement_faults(one, as_list(one["Resource"]))]


@pytest.mark.slow
def test_every_type_of_the_template_can_be_created() -> None:
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
    allowed = {each.lower() for one in execution_statements() for each in as_list(one["Action"])}
    for type_ in types():
        _, service, name = type_.lower().replace("stepfunctions", "states").split("::")
        assert creates.get(type_, f"{service}:create{name}").lower() in allowed, type_
