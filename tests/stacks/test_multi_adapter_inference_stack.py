import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
import yaml
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Annotations, Match, Template
from syrupy.assertion import SnapshotAssertion

from adapter_fleet.common.serialization import converter
from adapter_fleet.evaluation import EvaluationBar
from adapter_fleet.fleet.state.fleet_settings import (
    CanarySettings,
    DriftAction,
    FleetSettings,
    ReleaseSettings,
)
from adapter_rules.environment import read_environment
from stacks.environment import ENVIRONMENTS
from stacks.multi_adapter_inference_stack import MultiAdapterInferenceStack
from tests.constructs.resources import nag

ROOT = ENVIRONMENTS.parent
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]
NAMES = sorted(file.stem for file in ENVIRONMENTS.glob("*.toml"))
ASSET_HASH = re.compile(r"[0-9a-f]{64}")


@pytest.fixture(scope="module", params=NAMES)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def stack_of(environment: str, outdir: Path) -> MultiAdapterInferenceStack:
    app = cdk.App(outdir=str(outdir), context=CONTEXT)
    settings = read_environment(ENVIRONMENTS / f"{environment}.toml")
    return MultiAdapterInferenceStack(app, f"MultiAdapterInference-{environment}", environment=settings)


@pytest.fixture(scope="module")
def stack(environment: str, tmp_path_factory: pytest.TempPathFactory) -> MultiAdapterInferenceStack:
    """The stack of an environment, for tests that leave it as it is."""
    return stack_of(environment, tmp_path_factory.mktemp(environment))


@pytest.fixture(scope="module")
def template(stack: MultiAdapterInferenceStack) -> dict[str, Any]:
    return dict(Template.from_stack(stack).to_json())


@pytest.mark.slow
def test_the_template_is_the_one_that_was_reviewed(
    template: dict[str, Any], snapshot: SnapshotAssertion
) -> None:
    assert json.loads(ASSET_HASH.sub("<hash>", json.dumps(template))) == snapshot


def test_what_it_serves_fits_into_memory(stack: MultiAdapterInferenceStack) -> None:
    warnings = [str(w.entry.data) for w in Annotations.from_stack(stack).find_warning("*", Match.any_value())]
    assert not [w for w in warnings if "small-key-value-cache" in w or "most-adapters-on-disk" in w]


def test_defaults_and_repairs_of_a_fleet_in_the_file_reach_its_functions(tmp_path: Path) -> None:
    text, repairs = (ENVIRONMENTS / "dev.toml").read_text(), "drift_check = 'repair'\n"
    path = tmp_path / "own.toml"
    path.write_text(text.replace("allow_empty = true", repairs))
    stack = MultiAdapterInferenceStack(
        cdk.App(outdir=str(tmp_path / "out"), context=CONTEXT), "Own", environment=read_environment(path)
    )
    (resource,) = Template.from_stack(stack).find_resources("Custom::AdapterFleet").values()
    settings = json.loads(resource["Properties"]["Settings"])
    assert converter.structure(settings, FleetSettings) == FleetSettings(
        max_lora_rank=64, base_model="meta-llama/Llama-3.1-8B-Instruct", drift=DriftAction.REPAIR
    )


def test_a_fleet_with_the_name_of_something_else_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text((ENVIRONMENTS / "dev.toml").read_text().replace("fleets.Tenants", "fleets.Llm"))
    with pytest.raises(ValueError, match=r"\[fleets.Llm\]: a fleet should have a name that nothing else"):
        MultiAdapterInferenceStack(
            cdk.App(outdir=str(tmp_path / "out")), "Own", environment=read_environment(path)
        )


@pytest.mark.slow
def test_cdk_nag_finds_nothing_that_is_not_acknowledged(environment: str, tmp_path: Path) -> None:
    stack = stack_of(environment, tmp_path)
    # One that is not acknowledged, to see that the rules are applied.
    probe = iam.ManagedPolicy(stack, "Probe")
    probe.add_statements(iam.PolicyStatement(actions=["s3:GetObject"], resources=["*"]))
    found = nag(cast("cdk.App", stack.node.root))
    assert found == [("AwsSolutions-IAM5[Resource::*]", f"{probe.node.path}/Resource")]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template of an environment with every table: what is commented out in prod.toml is in force."""
    folder = tmp_path_factory.mktemp("closed")
    path = folder / "closed.toml"
    text = re.sub(r"^#(?=\S)", "", (ENVIRONMENTS / "prod.toml").read_text(), flags=re.MULTILINE)
    text = text.replace("accelerators = 4", "accelerators = 2").replace("prod.adapters", "local.adapters")
    topic = 'topic_arn = "arn:aws:sns:us-east-1:111122223333:on-call"'
    text = text.replace('"local.', f'"{ENVIRONMENTS}/local.').replace('# topic_arn = "arn:aws:sns:…"', topic)
    path.write_text(
        text
        + f"""
[adapters.triage]
directory = "{ROOT / "examples/tickets/adapters/triage"}"

[network]
vpc = "vpc-0a1b2c3d"
subnets = ["subnet-0a1b2c3d", "subnet-1a1b2c3d"]
security_groups = ["sg-0a1b2c3d"]

[encryption]
key_arn = "arn:aws:kms:us-east-1:111122223333:key/12345678-90ab-cdef-1234-567890abcdef"
"""
    )
    app = cdk.App(outdir=str(folder / "cdk.out"), context=CONTEXT)
    return Template.from_stack(MultiAdapterInferenceStack(app, "Closed", environment=read_environment(path)))


@pytest.mark.slow
def test_cfn_lint_has_nothing_to_say(closed: Template) -> None:
    # Imported here: it takes a second, and most tests do without.
    from cfnlint import lint
    from cfnlint.config import ManualArgs

    # Dependencies that a reference enforces anyway: the CDK writes them for every function and machine.
    config = ManualArgs(regions=["us-east-1"], ignore_checks=["W3005"])
    assert [str(match) for match in lint(json.dumps(closed.to_json()), config=config)] == []


@pytest.mark.slow
def test_every_kind_of_resource_is_in_the_template_that_cfn_lint_reads(
    closed: Template, template: Mapping[str, Any]
) -> None:
    own, read = (
        {each["Type"] for each in resources.values()}
        for resources in (template["Resources"], closed.to_json()["Resources"])
    )
    assert own - read == set()


def test_the_network_of_a_file_is_that_of_containers_and_functions(closed: Template) -> None:
    inside = {"SubnetIds": ["subnet-0a1b2c3d", "subnet-1a1b2c3d"], "SecurityGroupIds": ["sg-0a1b2c3d"]}
    handlers = [
        function["Properties"]["VpcConfig"]
        for function in closed.find_resources("AWS::Lambda::Function").values()
        if "BucketNotifications" not in str(function["Properties"].get("Description"))
        and "DeadLetterConfig" in function["Properties"]
    ]
    assert handlers
    assert all(vpc == inside for vpc in handlers)
    models = closed.find_resources("AWS::SageMaker::Model").values()
    network = {"Subnets": inside["SubnetIds"], "SecurityGroupIds": inside["SecurityGroupIds"]}
    assert [model["Properties"]["VpcConfig"] for model in models] == [network, network]


def test_the_key_of_a_file_is_that_of_the_logs(closed: Template) -> None:
    groups = closed.find_resources("AWS::Logs::LogGroup").values()
    key = "arn:aws:kms:us-east-1:111122223333:key/12345678-90ab-cdef-1234-567890abcdef"
    assert {group["Properties"]["KmsKeyId"] for group in groups} == {key}


def test_the_security_guide_answers_every_finding_that_checkov_is_asked_to_skip() -> None:
    skipped = yaml.safe_load((ROOT / ".checkov.yaml").read_text())["skip-check"]
    answered = re.findall(r"^\| (CKV\w+) \|", (ROOT / "docs/guides/security.md").read_text(), re.MULTILINE)
    assert answered == skipped


def test_a_fleet_of_the_file_has_its_base_model_its_bar_and_a_canary(closed: Template) -> None:
    fleets = [each["Properties"] for each in closed.find_resources("Custom::AdapterFleet").values()]
    drafts, tenants = sorted(fleets, key=lambda each: "qwen" in each["ComponentPrefix"], reverse=True)
    assert drafts["BaseComponentName"] != tenants["BaseComponentName"]
    settings = [
        converter.structure(json.loads(each["Settings"]), FleetSettings) for each in (drafts, tenants)
    ]
    assert settings[0].evaluation == EvaluationBar(requirements=("rougeL >= base + 20%",))
    assert settings[1].releases == ReleaseSettings(canary=CanarySettings(steps=(5, 25)))


@pytest.mark.slow
def test_alarms_of_every_fleet_go_to_the_topic_of_the_file(closed: Template) -> None:
    closed.resource_count_is("AWS::CloudWatch::Dashboard", 2)
    alarms = [
        alarm["Properties"]
        for alarm in closed.find_resources("AWS::CloudWatch::Alarm").values()
        if "Fleet" in str(alarm["Properties"].get("Dimensions")) or "OKActions" in alarm["Properties"]
    ]
    assert alarms
    topic = ["arn:aws:sns:us-east-1:111122223333:on-call"]
    assert all(alarm["AlarmActions"] == topic for alarm in alarms)
