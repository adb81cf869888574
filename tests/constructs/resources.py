"""The resources of a stack, as its template has them, and what cdk-nag finds in an app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk.assertions import Template


class Resources(dict[str, dict[str, Any]]):
    """Resources by their logical ids."""

    @classmethod
    def of(cls, stack: cdk.Stack) -> Resources:
        """Return those of a stack, which is synthesized."""
        return cls(Template.from_stack(stack).to_json()["Resources"])

    def of_type(self, type_: str) -> dict[str, dict[str, Any]]:
        """Return the properties of those of a type, by their logical ids."""
        return {name: one.get("Properties", {}) for name, one in self.items() if one["Type"] == type_}

    def only(self, type_: str) -> dict[str, Any]:
        """Return the properties of the one of a type."""
        (properties,) = self.of_type(type_).values()
        return properties

    def id_of(self, type_: str) -> str:
        """Return the logical id of the one of a type."""
        (name,) = self.of_type(type_)
        return name

    def alarm(self, alarm: cloudwatch.IAlarm) -> dict[str, Any]:
        """Return the properties of an alarm."""
        return self.of_type("AWS::CloudWatch::Alarm")[cdk.Stack.of(alarm).resolve(alarm.alarm_name)["Ref"]]

    def statements(self, policy: str = "") -> list[dict[str, Any]]:
        """Return the statements of the policies whose logical ids begin so."""
        return [
            statement
            for name, properties in self.of_type("AWS::IAM::Policy").items()
            if name.startswith(policy)
            for statement in properties["PolicyDocument"]["Statement"]
        ]


def nag(app: cdk.App) -> list[tuple[str, str]]:
    """Return rule and construct of everything that cdk-nag's AwsSolutions finds, acknowledged or not."""
    # Imported here: it takes half a second, and most tests do without.
    from cdk_nag import AwsSolutionsChecks

    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = json.loads((Path(app.outdir) / "validation-report.json").read_text())
    return [
        (violation["ruleName"], construct["constructPath"])
        for plugin in report["pluginReports"]
        if plugin["pluginName"] != "Construct Annotations"
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    ]
