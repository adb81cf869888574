"""What all clients share: one embedded cloud with one deployed fleet, and files for more endpoints."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_sagemaker.server import LocalCloud
from tests.clients.environments import FOLDER, ROOT, Environment
from tests.integration.by_hand import LMI, TICKETS, client, prompts
from tests.integration.fleet_stack import Fleet, FleetStack

ADAPTERS = {"triage": "triage", "summary": "summary", "shout": "shout"}
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.36.0-lmi19.0.0-cu128"
MODELS = "clients-models"
_SECONDS = 300.0

# Both SageMaker SDKs install a package `tests` of their own, which would be found instead of this one.
_RUN = """
import runpy, sys, types
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = ["tests"]
runpy.run_module(sys.argv[1], run_name="__main__")
"""

# Nothing answers there, so that no client reaches anyone but the cloud on 127.0.0.1.
_NOWHERE = "http://127.0.0.1:9"

Line = dict[str, Any]


class World:
    """A running cloud, and what the scripts are given about it."""

    def __init__(self, cloud: LocalCloud, given: Line) -> None:
        self._cloud = cloud
        self._given = given

    @property
    def profile(self) -> str:
        return str(self._given["profile"])

    def run(self, environment: Environment, script: str, **given: Any) -> list[Line]:
        """Run a script in an environment, with further values; return a line for each call.

        Raises AssertionError with what the script printed if it broke off.
        """
        report = Path(self._given["folder"]) / f"{script}.jsonl"
        report.unlink(missing_ok=True)
        done = subprocess.run(
            [environment.python, "-W", "ignore", "-c", _RUN, f"tests.clients.{script}"],
            cwd=ROOT,
            env=self._variables(),
            input=json.dumps({**self._given, **given, "report": str(report)}),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return [json.loads(line) for line in report.read_text().splitlines()]

    def _variables(self) -> dict[str, str]:
        """The variables that the cloud prints, and those that keep clients from calling anyone else."""
        kept = {name: os.environ[name] for name in ("LANG",) if name in os.environ}
        aws = {name: value for name, value in self._cloud.environment.items() if name.startswith("AWS_")}
        return {
            **kept,
            **aws,
            # Notebooks call the AWS CLI.
            "PATH": f"{FOLDER / 'aws-cli' / 'bin'}:{os.environ['PATH']}",
            "MPLBACKEND": "Agg",
            "AWS_EC2_METADATA_DISABLED": "true",
            "HTTPS_PROXY": _NOWHERE,
            "HTTP_PROXY": _NOWHERE,
            "NO_PROXY": "127.0.0.1",
            "HOME": self._given["folder"],
            # For the bearer token alone; it needs nothing but boto3.
            "PYTHONPATH": str(ROOT / "lambda"),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(_without_telemetry(Path(self._given["folder"]))),
        }


@contextmanager
def deployed(folder: Path) -> Iterator[World]:
    """Run a cloud with a fleet of three adapters until the context is left."""
    with LocalCloud(profile="kind") as cloud:
        stack = FleetStack(cloud, folder / "stack", name="tenants")
        created = stack.create({"Tenants": Fleet(adapters=ADAPTERS)}).succeeded()
        upload_base(cloud)
        prompt = prompts()[0]
        given = {
            "url": cloud.url,
            "folder": str(folder),
            "stack": stack.name,
            "endpoint": created.outputs["EndpointName"],
            "base": created.outputs["BaseComponentName"],
            "adapters": {name: stack.component("Tenants", name) for name in ADAPTERS},
            "role": created.outputs["RoleArn"],
            "archives": {label: stack.archives.uri(label) for label in ADAPTERS},
            "image": IMAGE,
            "environment": {"HF_MODEL_ID": f"s3://{MODELS}/base/", **LMI},
            "prompt": prompt["prompt"],
            "ticket": prompt["ticket"],
            "answers": prompt["answers"],
        }
        yield World(cloud, given)


def upload_base(cloud: LocalCloud) -> None:
    s3 = client(cloud, "s3")
    s3.create_bucket(Bucket=MODELS)
    for file in (TICKETS / "base").iterdir():
        s3.upload_file(str(file), MODELS, f"base/{file.name}")


def _without_telemetry(folder: Path) -> Path:
    path = folder / "sagemaker.yaml"
    opted_out = {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}
    path.write_text(json.dumps({"SchemaVersion": "1.0", "SageMaker": opted_out}))
    return path
