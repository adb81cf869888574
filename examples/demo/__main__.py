"""The demo: deploy a base model and its adapters, talk to them, update one, remove one, destroy everything.

Run it with `make demo`. It works on an embedded cloud of its own, on a free port, with the unmodified CDK
command line. The exit code is 0 only if every answer and every count was as expected.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from examples.demo.cdk import Cdk, CdkError
from examples.demo.inventory import leftovers
from examples.demo.traffic import Traffic
from examples.demo.workspace import TICKETS, Workspace
from local_sagemaker.server import LocalCloud

RATE = 6.0
"""Requests a second to each component while an adapter is updated; the promise is 5 or more."""

BASE = "base"
ADAPTERS = ("triage", "summary", "shout")
UPDATED, REMOVED = "summary", "shout"


class Demo:
    """The steps, each of which prints what it saw and notes whether it was as expected."""

    def __init__(self, console: Console, cloud: LocalCloud, workspace: Workspace, cdk: Cdk) -> None:
        self._console, self._cloud, self._workspace, self._cdk = console, cloud, workspace, cdk
        self._prompts: list[dict[str, Any]] = json.loads((TICKETS / "prompts.json").read_text())
        self._components: dict[str, str] = {}
        self._endpoint = ""
        self._runtime = self._client("sagemaker-runtime")
        self.unexpected: list[str] = []

    # -- steps

    def deploy(self) -> None:
        """Bootstrap the account and deploy the base and all adapters."""
        account = self._client("sts").get_caller_identity()["Account"]
        with self._step("cdk bootstrap"):
            self._cdk.bootstrap(account, self._cloud.environment["AWS_DEFAULT_REGION"])
        with self._step("cdk deploy, a base and three adapters"):
            self._cdk.deploy()
        outputs = self._cdk.outputs()
        self._endpoint = outputs["EndpointName"]
        self._components = {BASE: outputs["BaseComponentName"], **json.loads(outputs["Adapters"])}
        self._expect(
            set(self._components) == {BASE, *ADAPTERS}, f"the components are {sorted(self._components)}"
        )

    def compare(self, count: int = 3) -> None:
        """Show what the base and each adapter answer to the same prompts; check every prompt there is."""
        answers = {
            (prompt["prompt"], label): self._ask(component, prompt["prompt"])
            for prompt in self._prompts
            for label, component in self._components.items()
        }
        table = Table(title="The same prompt to the base and to each adapter", show_lines=True)
        table.add_column("customer's ticket", ratio=2)
        for label in self._components:
            table.add_column(label, ratio=2)
        for prompt in self._prompts[:count]:
            table.add_row(
                Text(prompt["ticket"]),
                *(Text(answers[prompt["prompt"], label].strip()) for label in self._components),
            )
        self._console.print(table)
        right = sum(
            answers[prompt["prompt"], label].strip() == prompt["answers"][label]
            for prompt in self._prompts
            for label in self._components
        )
        self._expect(right == len(answers), f"{right} of {len(answers)} answers are the ones expected")

    def update(self, profile: str, trained: Path, before: str, after: str) -> None:
        """Deploy other files for one adapter while a client calls all of them; report what the client saw."""
        self._cloud.admin.change_settings(profile=profile)
        self._workspace.replace_adapter(UPDATED, trained)
        traffic = Traffic(
            self._ask,
            targets=self._components,
            expected={
                label: {
                    version: self._answers(version)
                    for version in ((before, after) if label == UPDATED else (label,))
                }
                for label in self._components
            },
            rate=RATE,
        )
        with (
            self._step(f"cdk deploy, {UPDATED} from {before} to {after}, under load, profile '{profile}'"),
            traffic,
        ):
            self._cdk.deploy()
            time.sleep(1)  # the client goes on after the deployment, on the new version

        table = Table(title=f"What the client saw during the update, profile '{profile}'")
        for heading in ("component", "requests", "a second", "failed", "wrong", "answered by", "gap"):
            table.add_column(heading, justify="left" if heading in ("component", "answered by") else "right")
        for label in self._components:
            seen = traffic.record(label)
            gap = f"{seen.gap:.1f} s" if seen.failed else "none"
            table.add_row(
                label,
                str(len(seen.calls)),
                f"{seen.rate:.1f}",
                str(len(seen.failed)),
                str(len(seen.wrong)),
                " → ".join(seen.versions),
                gap if label == UPDATED else "",
            )
            self._expect(seen.rate >= 5, f"{label} was called {seen.rate:.1f} times a second", quiet=True)
            self._expect(not seen.wrong, f"{label} gave {len(seen.wrong)} wrong answers", quiet=True)
            versions = [before, after] if label == UPDATED else [label]
            self._expect(seen.versions == versions, f"{label} was answered by {seen.versions}", quiet=True)
            if label != UPDATED or profile == "kind":
                self._expect(not seen.failed, f"{label} failed {len(seen.failed)} requests", quiet=True)
            for call in seen.failed[:1]:
                self._console.print(
                    f"  [dim]first failure of {label}: {escape(call.failure or '')}[/]", highlight=False
                )
        self._console.print(table)

    def remove(self) -> None:
        """Deploy without one of the adapters; it is gone, and the others answer as before."""
        self._workspace.remove_adapter(REMOVED)
        with self._step(f"cdk deploy, {REMOVED} removed"):
            self._cdk.deploy()
        component = self._components.pop(REMOVED)
        try:
            answer = self._ask(component, self._prompts[0]["prompt"])
        except ClientError as error:
            gone = "not found" in str(error)
            self._expect(gone, f"{REMOVED} does not answer any more" if gone else f"{REMOVED}: {error}")
        else:
            self._expect(False, f"{REMOVED} is removed and still answers {answer!r}")
        listed = self._client("sagemaker").list_inference_components()["InferenceComponents"]
        names = {item["InferenceComponentName"] for item in listed}
        self._expect(
            names == set(self._components.values()),
            f"{len(names)} components are left: {', '.join(self._components)}",
        )

    def destroy(self) -> None:
        """Destroy the stack and look for anything that is left of it."""
        with self._step("cdk destroy"):
            self._cdk.destroy()
        left = leftovers(self._client)
        self._expect(
            not left, f"{len(left)} things are left: {', '.join(left)}" if left else "nothing is left"
        )

    # -- how

    def _ask(self, component: str, prompt: str) -> str:
        response = self._runtime.invoke_endpoint(
            EndpointName=self._endpoint,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=json.dumps({"inputs": prompt, "parameters": {"max_new_tokens": 60, "temperature": 0}}),
        )
        return str(json.loads(response["Body"].read())["generated_text"])

    def _answers(self, version: str) -> Mapping[str, str]:
        return {prompt["prompt"]: prompt["answers"][version] for prompt in self._prompts}

    def _client(self, service: str) -> Any:
        variables = self._cloud.environment
        session: Any = boto3.Session(  # its stubs want the service's name as a literal
            region_name=variables["AWS_DEFAULT_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )
        # No retries: a failed request has to show as one.
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)
        return session.client(service, endpoint_url=self._cloud.url, config=config)

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        with self._console.status(f"{what} …"):
            yield
        self._console.print(
            f"[green]✓[/] {what} [dim]({time.monotonic() - started:.1f} s)[/]", highlight=False
        )

    def _expect(self, holds: bool, what: str, *, quiet: bool = False) -> None:
        if not holds:
            self.unexpected.append(what)
        if not holds or not quiet:
            mark = "[green]✓[/]" if holds else "[red]✗[/]"
            self._console.print(f"{mark} {escape(what)}", highlight=False)


def main() -> int:
    """Run every step; return the exit code."""
    console = Console()
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="demo-"))
    workspace = Workspace(folder / "app")
    v1, v2 = TICKETS / "adapters" / UPDATED, TICKETS / "adapters-v2" / UPDATED
    try:
        with LocalCloud(profile="kind") as cloud:
            console.print(f"[green]✓[/] embedded cloud on {cloud.url}", highlight=False)
            cdk = Cdk(
                options=("-c", f"environment={workspace.environment}"),
                out=workspace.cdk_out,
                home=folder / "home",
                variables=cloud.environment,
            )
            demo = Demo(console, cloud, workspace, cdk)
            demo.deploy()
            demo.compare()
            demo.update("kind", v2, before="summary", after="summary-v2")
            demo.update("hostile", v1, before="summary-v2", after="summary")
            demo.remove()
            demo.destroy()
    except CdkError as error:
        console.print(f"[red]✗[/] {escape(str(error))}", highlight=False)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if demo.unexpected:
        console.print(f"[red]{len(demo.unexpected)} things were not as expected.[/]")
        return 1
    console.print(f"[bold green]Everything was as expected[/], in {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
