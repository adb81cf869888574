"""What cdk-nag finds in an app."""

from __future__ import annotations

import json
from pathlib import Path

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks


def nag(app: cdk.App) -> list[tuple[str, str]]:
    """Return rule and construct of everything that cdk-nag's AwsSolutions finds, acknowledged or not."""
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
