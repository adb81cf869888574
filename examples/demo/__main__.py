"""The demo: a base model, a fleet of a hundred adapters and one of them broken, from nothing to nothing.

Run it with `make demo`. It works on an embedded cloud of its own, on a free port, with the unmodified CDK
command line and the `adapters` command. The exit code is 0 only if every answer and every count was as
expected.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from examples.demo.bucket import ADAPTERS, Bucket
from examples.demo.cdk import Cdk, CdkError
from examples.demo.chapters import INTRODUCTION, NEXT_STEPS, Chapter, play
from examples.demo.command import Adapters
from examples.demo.endpoint import Endpoint
from examples.demo.inventory import leftovers
from examples.demo.report import Report
from examples.demo.traffic import Traffic
from examples.demo.workspace import ROOT, TICKETS, Workspace
from local_sagemaker.server import LocalCloud

STACK = "MultiAdapterInference-local"
RATE = 6.0
"""Requests a second to the base, and to the tenant that changes; the promise is 5 or more."""
GROUP_RATE = 2.5
"""Requests a second to the adapters of each skill that do not change, one after the other."""

BASE = "base"
V1, V2 = TICKETS / "adapters", TICKETS / "adapters-v2"
IN_CHECKOUT = "../examples/tickets"
"""Where the skills are, as the manifest of the tenants says it."""

BROKEN, CHANGED, CHATTING = "tenant-050", "tenant-002", "tenant-001"
CLIENTS_PYTHON = ROOT / ".venv-clients" / "openai" / "bin" / "python"
"""The `openai` client has an environment of its own; `make demo` makes it."""
MANIFEST_KEY = "fleets/customers.yaml"
CUSTOMERS = "customers"
SETTINGS = f"""
# What the demo adds: adapters in a bucket, and a fleet whose manifest is there too.
[[artifact_sources]]
bucket = "{{bucket}}"
prefix = "{ADAPTERS}"

[fleets.Customers]
bucket = "{{bucket}}"
key = "{MANIFEST_KEY}"
allow_empty = true
component_prefix = "{CUSTOMERS}"
request_rate = 50
enable_events = false  # the bucket sends them already
drift_check = "repair"
"""


class Demo:
    """The chapters, each of which shows what it saw and notes whether it was as expected."""

    def __init__(self, report: Report, cloud: LocalCloud, workspace: Workspace, cdk: Cdk, adapters: Adapters):
        self._report, self._cloud, self._workspace = report, cloud, workspace
        self._cdk, self._adapters = cdk, adapters
        self._bucket = Bucket(self._client("s3"), "demo-adapters")
        self._endpoint = Endpoint(self._client("sagemaker-runtime"), "")
        self._native: dict[str, str] = {}
        self._prefix = ""

    # -- chapters

    def deploy(self) -> None:
        """Bootstrap the account, and deploy the base and all adapters; one tenant's is broken."""
        account = self._client("sts").get_caller_identity()["Account"]
        with self._report.step("cdk bootstrap"):
            self._cdk.bootstrap(account, self._cloud.environment["AWS_DEFAULT_REGION"])
        self._bucket.create()
        self._workspace.add_settings(SETTINGS.format(bucket=self._bucket.name))
        self._workspace.set_tenant(BROKEN, self._bucket.publish_broken(V1 / "summary"))
        with self._report.step("cdk deploy, a base, three native adapters and a fleet of 100 tenants"):
            self._cdk.deploy()
        outputs = self._cdk.outputs()
        self._endpoint.name = outputs["EndpointName"]
        self._native = {BASE: outputs["BaseComponentName"], **json.loads(outputs["Adapters"])}
        self._prefix = outputs["TenantsComponentPrefix"]
        summary = outputs["TenantsSummary"]
        self._report.expect(
            summary.startswith("99 of 100 adapters in service, 1 failed") and f"{BROKEN}: " in summary,
            f"TenantsSummary = {summary}",
        )
        self._report.ran(self._adapters.run("status", "--fleet", "Tenants"), code=1, first=5)

    def compare(self, count: int = 3) -> None:
        """Show what the base and each native adapter answer to the same prompts; then ask every tenant."""
        endpoint, components = self._endpoint, self._native
        answers = {
            (prompt["prompt"], label): endpoint.ask(component, prompt["prompt"])
            for prompt in endpoint.prompts
            for label, component in components.items()
        }
        table = Table(title="The same prompt to the base and to each skill", show_lines=True)
        table.add_column("customer's ticket", ratio=2)
        for label in components:
            table.add_column(label, ratio=2)
        for prompt in endpoint.prompts[:count]:
            table.add_row(
                Text(prompt["ticket"]),
                *(Text(answers[prompt["prompt"], label].strip()) for label in components),
            )
        self._report.show(table)
        right = sum(
            answers[prompt["prompt"], label] == prompt["answers"][label]
            for prompt in endpoint.prompts
            for label in components
        )
        self._report.expect(right == len(answers), f"{right} of {len(answers)} answers are the ones expected")
        self._check_tenants()

    def chat(self) -> None:
        """Ask a tenant's adapter with the unmodified `openai` client, as `adapters describe` says."""
        self._report.ran(self._adapters.run("describe", CHATTING, "--fleet", "Tenants"))
        told = self._adapters.run("describe", CHATTING, "--fleet", "Tenants", "--json")
        prompt, address = self._endpoint.prompts[0], json.loads("\n".join(told.lines))
        arguments = [address["base_url"], address["model"], prompt["ticket"]]
        done = subprocess.run(
            [CLIENTS_PYTHON, "examples/04_openai_client/client.py", *arguments],
            cwd=ROOT,
            env={**self._cloud.environment, "PYTHONPATH": f"{ROOT / 'lambda'}"},
            capture_output=True,
            text=True,
            check=False,
        )
        self._report.note(f"{prompt['ticket']} → {done.stdout.strip() or done.stderr.strip()[-500:]}")
        expected = prompt["answers"][self._workspace.tenants()[CHATTING]]
        self._report.expect(
            done.stdout.strip() == expected, f"{CHATTING} answers the `openai` client as it should"
        )

    def change(self, profile: str, tenants: Mapping[str, str | None]) -> None:
        """Add, change and remove tenants in one deployment, while a client calls all that are there.

        tenants:
            What becomes of each: its new artifact, or None for one that goes.
        """
        self._cloud.admin.change_settings(profile=profile)
        before = self._workspace.tenants()
        for name, artifact in tenants.items():
            if artifact is None:
                self._workspace.remove_tenant(name)
            else:
                self._workspace.set_tenant(name, artifact)
        after = self._workspace.tenants()
        plan = self._adapters.run("plan", self._workspace.manifest.name, "--fleet", "Tenants")
        self._report.ran(plan)
        words = {line.split()[0] for line in plan.lines if line.split()}
        planned = words & (before.keys() | after.keys())
        self._report.expect(planned == tenants.keys(), f"{len(planned)} adapters change, as was planned")

        stays = {name: version for name, version in before.items() if name not in tenants}
        groups = {BASE: [self._native[BASE]], CHANGED: [self._component(CHANGED)]}
        expected = {BASE: [BASE], CHANGED: [before[CHANGED], after[CHANGED]]}
        closely = self._traffic(groups, expected, RATE)
        others = {
            f"{skill}, {len(members)} that do not change": members
            for skill, members in self._members(stays).items()
        }
        skills = {label: [label.partition(",")[0]] for label in others}
        widely = self._traffic(others, skills, GROUP_RATE)
        with self._report.step(f"cdk deploy, under load, profile '{profile}'"), closely, widely:
            self._cdk.deploy(validate=False)  # the template is the one that was judged before
            time.sleep(1)  # the client goes on after the deployment, on the new version
        self._show_traffic({closely: expected, widely: skills}, profile)
        summary = self._cdk.outputs()["TenantsSummary"]
        self._report.expect(summary == "100 of 100 adapters in service", f"TenantsSummary = {summary}")
        removed = [name for name, artifact in tenants.items() if artifact is None]
        for name in removed:
            self._report.expect(self._endpoint.gone(self._component(name)), f"{name} is gone", quiet=True)
        self._check_tenants()

    def onboard(self) -> None:
        """Bring customers into service by their manifest in S3, with no deployment, and one of them back."""
        first, second = (self._bucket.publish(directory / "summary") for directory in (V1, V2))
        triage = self._bucket.publish(V1 / "triage")
        manifest = self._workspace.environment.parent / "customers.yaml"
        fleet = ("--fleet", "Customers")

        def apply(**artifacts: str) -> None:
            lines = (f"  - {{name: {name}, artifact: {artifact}}}\n" for name, artifact in artifacts.items())
            manifest.write_text(f"adapters:\n{''.join(lines)}")
            self._report.ran(self._adapters.run("apply", manifest.name, *fleet))

        def check(text: str, **versions: str) -> None:
            wrong = self._endpoint.wrong({f"{CUSTOMERS}-{name}": versions[name] for name in versions})
            self._report.expect(not wrong, "; ".join(wrong) or text)

        apply(acme=triage, globex=first)
        check("acme and globex answer, with no deployment", acme="triage", globex="summary")
        apply(acme=triage, globex=second)
        check("globex answers as its new version", globex="summary-v2")
        self._report.ran(self._adapters.run("rollback", "globex", *fleet))
        self._report.ran(self._adapters.run("status", "--wait", *fleet))
        check("globex answers as before", globex="summary", acme="triage")
        self._report.ran(self._adapters.run("history", "globex", *fleet))

    def catch_swap(self) -> None:
        """Find a customer's probe, let another adapter answer on one copy, and see a check find that."""
        base, prompt, fleet = self._native[BASE], self._endpoint.prompts[0], ("--fleet", "Customers")
        manifest, archives = (
            f"s3://{self._bucket.name}/{MANIFEST_KEY}",
            f"s3://{self._bucket.name}/{ADAPTERS}",
        )
        files = str(V1 / "summary")
        arguments = ("--name", "globex", "--manifest", manifest, "--probe-on", base)
        published = self._adapters.run(
            "publish", files, archives, *arguments, "--probe-prompt", prompt["prompt"]
        )
        self._report.ran(published)
        self._until(lambda: self._status("globex").get("proof") == "probe", "globex answers its probe")
        self._cloud.admin.swap(f"{CUSTOMERS}-globex", directory=V1 / "shout", copies=1)
        self._report.note("one of two copies answers for globex with the adapter of somebody else")
        machines = self._client("stepfunctions")
        (machine,) = (
            found["stateMachineArn"]
            for found in machines.list_state_machines()["stateMachines"]
            if "Customers" in found["name"] and "Provider" not in found["name"]
        )
        machines.start_execution(
            stateMachineArn=machine,
            input=json.dumps({"trigger": "drift", "requested_at": "now"}),
        )
        found: list[str] = []

        def failed() -> bool:
            history = self._adapters.run("history", "globex", *fleet)
            found[:] = [line for line in history.lines if "not every copy" in line]
            return bool(found) and self._status("globex").get("proof") == "probe"

        self._until(failed, "the drift check found it, named it, and sent the adapter again")
        self._report.ran(self._adapters.run("history", "globex", *fleet))
        wrong = [self._endpoint.wrong({f"{CUSTOMERS}-globex": "summary"}) for _ in range(10)]
        self._report.expect(not any(wrong), "globex answers as itself on every copy")

    def set_profile(self, profile: str) -> None:
        """Choose how the cloud behaves."""
        self._cloud.admin.change_settings(profile=profile)

    def destroy(self) -> None:
        """Destroy the stack and look for anything that is left of it."""
        with self._report.step("cdk destroy"):
            self._cdk.destroy()
        self._bucket.delete()  # the demo made it, and not the stack
        left = leftovers(self._client)
        self._report.expect(
            not left, f"{len(left)} things are left: {', '.join(left)}" if left else "nothing is left"
        )

    # -- how

    def _status(self, name: str) -> dict[str, Any]:
        """Return the state of a customer's adapter; empty while there is none."""
        told = self._adapters.run("status", "--json", "--fleet", "Customers")
        adapters = json.loads("".join(told.lines))["adapters"]
        return next((adapter for adapter in adapters if adapter["name"] == name), {})

    def _until(self, holds: Callable[[], bool], text: str) -> None:
        """Wait until something holds, and report whether it does after a minute."""
        deadline = time.monotonic() + 60
        while not (held := holds()) and time.monotonic() < deadline:
            time.sleep(0.5)
        self._report.expect(held, text)

    def _members(self, tenants: Mapping[str, str]) -> dict[str, list[str]]:
        """Return the components of each skill, the native one first."""
        members = {skill: [component] for skill, component in self._native.items() if skill != BASE}
        for name, skill in tenants.items():
            members.setdefault(skill, []).append(self._component(name))
        return members

    def _traffic(
        self, groups: Mapping[str, Sequence[str]], expected: Mapping[str, Sequence[str]], rate: float
    ) -> Traffic:
        """Return traffic to groups of components, each of which is called in turn."""
        turns = {label: cycle(members) for label, members in groups.items()}
        return Traffic(
            lambda label, prompt: self._endpoint.ask(next(turns[label]), prompt),
            targets={label: label for label in groups},
            expected={
                label: {version: self._endpoint.answers(version) for version in versions}
                for label, versions in expected.items()
            },
            rate=rate,
        )

    def _component(self, tenant: str) -> str:
        return f"{self._prefix}-{tenant}"

    def _check_tenants(self) -> None:
        """Ask every tenant, but one whose adapter is broken."""
        serving = {self._component(name): version for name, version in self._workspace.tenants().items()}
        wrong = self._endpoint.wrong(serving)
        for line in wrong[:5]:
            self._report.note(line)
        self._report.expect(
            not wrong, f"{len(serving) - len(wrong)} of {len(serving)} tenants answer as they should"
        )

    def _show_traffic(self, traffics: Mapping[Traffic, Mapping[str, Sequence[str]]], profile: str) -> None:
        """Show what became of all calls; the values are the versions expected of each label."""
        table = Table(title=f"What the client saw during the deployment, profile '{profile}'")
        for heading in ("adapters", "requests", "a second", "failed", "wrong", "answered by", "gap"):
            table.add_column(heading, justify="left" if heading in ("adapters", "answered by") else "right")
        expect = self._report.expect
        labels = [(traffic, *item) for traffic, expected in traffics.items() for item in expected.items()]
        for traffic, label, versions in labels:
            seen = traffic.record(label)
            gap = f"{seen.gap:.1f} s" if seen.failed else "none"
            table.add_row(
                label,
                str(len(seen.calls)),
                f"{seen.rate:.1f}",
                str(len(seen.failed)),
                str(len(seen.wrong)),
                " → ".join(seen.versions),
                gap if label == CHANGED else "",
            )
            if label in (BASE, CHANGED):
                expect(seen.rate >= 5, f"{label} was called {seen.rate:.1f} times a second", quiet=True)
            expect(not seen.wrong, f"{label}: {len(seen.wrong)} wrong answers", quiet=True)
            expect(seen.versions == versions, f"{label}: answered by {seen.versions}", quiet=True)
            if label != CHANGED or profile == "kind":
                expect(not seen.failed, f"{label}: {len(seen.failed)} requests failed", quiet=True)
            for call in seen.failed[:1]:
                self._report.note(f"first failure of {label}: {call.failure}")
        self._report.show(table)

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


def chapters_of(demo: Demo) -> Sequence[Chapter]:
    """Return the chapters in their order, each of which goes on where the one before ended."""
    v1, v2 = f"{IN_CHECKOUT}/adapters", f"{IN_CHECKOUT}/adapters-v2"

    def deploy() -> None:
        demo.deploy()
        demo.compare()

    def change() -> None:
        demo.change(
            "kind",
            {
                "tenant-101": f"{v1}/shout",
                CHANGED: f"{v2}/summary",
                BROKEN: f"{v1}/summary",
                "tenant-099": None,
            },
        )

    def change_under_faults() -> None:
        demo.change(
            "hostile",
            {"tenant-102": f"{v1}/triage", CHANGED: f"{v1}/summary", "tenant-101": None},
        )
        demo.set_profile("kind")

    return (
        Chapter(
            title="One deployment, one broken adapter",
            why="`cdk deploy` creates a base model, three native adapters and a fleet of 100 tenants. One"
            " tenant's archive is broken on purpose. A resource for each adapter would roll everything back."
            " The fleet reports the tenant by name and reason, and the other 99 serve.",
            seconds=25,
            play=deploy,
        ),
        Chapter(
            title="One of them, with the `openai` client",
            why="Each adapter has an address. The unmodified `openai` client takes it as its `base_url`, so"
            " a program that speaks OpenAI's API needs no code for SageMaker.",
            seconds=3,
            play=demo.chat,
        ),
        Chapter(
            title="Add, change and remove, under load",
            why="One deployment adds, changes, mends and removes a tenant while a client calls all of them."
            " Look at 'failed' and 'answered by': the changed tenant goes from its old version to its new one"
            " without a failed request.",
            seconds=20,
            play=change,
        ),
        Chapter(
            title="The same where all goes wrong that may",
            why="AWS does not document everything that an update does. Now the cloud throttles, lists stale"
            " entries, and takes an archive away before the next one is there. Only the tenant that changes"
            " may fail, and 'gap' says for how long.",
            seconds=30,
            play=change_under_faults,
        ),
        Chapter(
            title="Customers, with no deployment",
            why="This fleet's manifest is in S3. `adapters apply` uploads it, and a state machine does the"
            " rest under the same guards. `adapters rollback` brings the last version back.",
            seconds=20,
            play=demo.onboard,
        ),
        Chapter(
            title="Somebody else answers, on one copy of two",
            why="The worst failure is silent: a right name with wrong weights. A probe is a prompt that only"
            " the declared version answers as recorded. Here one copy answers with another customer's"
            " adapter, and the drift check finds it, names it and sends the right one again.",
            seconds=20,
            play=demo.catch_swap,
        ),
        Chapter(
            title="And away",
            why="`cdk destroy` deletes everything. Then each service is asked what is left.",
            seconds=10,
            play=demo.destroy,
        ),
    )


def main() -> int:
    """Run every chapter; return the exit code."""
    console = Console()
    report = Report(console)
    started = time.monotonic()
    console.print(Text(INTRODUCTION), soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="demo-"))
    workspace = Workspace(folder / "app")
    try:
        with LocalCloud(profile="kind", parallel_provisioning=True) as cloud:
            console.print(f"[green]✓[/] embedded cloud on {cloud.url}", highlight=False)
            cdk = Cdk(
                options=("-c", f"environment={workspace.environment}"),
                out=workspace.cdk_out,
                home=folder / "home",
                variables=cloud.environment,
            )
            adapters = Adapters(
                variables={**cloud.environment, "ADAPTERS_STACK": STACK},
                folder=workspace.environment.parent,
                width=min(console.width, 110) - 2,
            )
            demo = Demo(report, cloud, workspace, cdk, adapters)
            play(chapters_of(demo), report)
    except (CdkError, ClientError) as error:
        console.print(f"[red]✗[/] {escape(str(error))}", highlight=False)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if report.unexpected:
        console.print(f"[red]{len(report.unexpected)} things were not as expected.[/]")
        return 1
    console.print(f"[bold green]Everything was as expected[/], in {time.monotonic() - started:.0f} s.")
    console.print(Text(f"\n{NEXT_STEPS}"), soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
