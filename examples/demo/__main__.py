"""The demo: a base model and a fleet of a hundred adapters, from nothing to nothing, in four chapters.

Run it with `make demo`. It works on an embedded cloud of its own, on a free port, with the unmodified CDK
command line and the `adapters` command. The exit code is 0 only if every answer and every count was as
expected.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from adapter_rules.archives.packing import pack
from examples.demo.cdk import Cdk
from examples.demo.endpoint import Endpoint
from examples.demo.inventory import leftovers
from examples.demo.workspace import TICKETS, Workspace
from local_sagemaker.cdk_app import CdkError
from local_sagemaker.server import LocalCloud

STACK = "MultiAdapterInference-local"
BUCKET = "demo-adapters"
SETTINGS = f"""
# What the demo adds: an archive in a bucket.
[[artifact_sources]]
bucket = "{BUCKET}"
"""
BASE = "base"
NEW_VERSION = "../examples/tickets/adapters-v2/summary"
BROKEN, ADDED, REMOVED = "tenant-050", "tenant-101", "tenant-100"
SHOWN_LINES = 7
NEXT_STEPS = """\
Try next, in this folder. Two shells; the first one keeps the cloud until Ctrl-C:

  make local

The second one, after pasting the `export` lines that the first one printed:

  source .venv/bin/activate && export PATH="$PWD/node_modules/.bin:$PATH"
  cdk bootstrap && cdk deploy --require-approval never
  export ADAPTERS_STACK=MultiAdapterInference-local
  adapters status
  adapters invoke tenant-001 tenant-002 'Ticket: Grace from Lima wants a refund for the keyboard.' --base

docs/how-to/publish-from-training.md goes from a training run of yours to a served adapter."""


class Demo:
    """The chapters, each of which shows what it saw and notes whether it was as expected."""

    def __init__(self, console: Console, cloud: LocalCloud, workspace: Workspace, cdk: Cdk) -> None:
        self._console, self._cloud, self._workspace, self._cdk = console, cloud, workspace, cdk
        self._s3 = self._client("s3")
        self._endpoint = Endpoint(self._client("sagemaker-runtime"), "")
        self._native: dict[str, str] = {}
        self._prefix = ""
        self.unexpected: list[str] = []

    # --- chapters

    def deploy(self) -> None:
        """Deploy the base model, three native adapters and a fleet of a hundred tenants."""
        self._chapter(
            "1/4 One deployment",
            "The CDK command line runs unmodified, on an AWS account in one process: no GPU, no docker.",
        )
        account = self._client("sts").get_caller_identity()["Account"]
        with self._step("cdk bootstrap"):
            self._cdk.bootstrap(account, self._cloud.environment["AWS_DEFAULT_REGION"])
        self._s3.create_bucket(Bucket=BUCKET)
        self._workspace.add_settings(SETTINGS)
        with self._step("cdk deploy, a base, three native adapters and a fleet of 100 tenants"):
            self._cdk.deploy()
        outputs = self._cdk.outputs()
        self._endpoint.name = outputs["EndpointName"]
        self._native = {BASE: outputs["BaseComponentName"], **json.loads(outputs["Adapters"])}
        self._prefix = outputs["TenantsComponentPrefix"]
        self._expect_summary("100 of 100 adapters in service")

    def compare(self) -> None:
        """Show what the base and each native adapter answer to the same prompt; then ask every tenant."""
        self._chapter(
            "2/4 One base model, many skills",
            "Each adapter is a component with a name of its own. A small model really generates the text.",
        )
        prompt = self._endpoint.prompts[0]
        table = Table(title=prompt["ticket"], title_justify="left")
        table.add_column("who")
        table.add_column("what it answers")
        for label, component in self._native.items():
            answer = self._endpoint.ask(component, prompt["prompt"]).strip()
            table.add_row(label, Text(answer))
            self._expect(answer == prompt["answers"][label], f"{label} answers as expected", quiet=True)
        self._console.print(table)
        self._check_tenants(self._workspace.tenants())

    def change(self) -> None:
        """Change the fleet; one of the new archives is broken."""
        self._chapter(
            "3/4 A change of the fleet, and one bad adapter in it",
            "Tenants get a new version, one is added, one is removed, and one archive is broken on purpose."
            " A resource for each adapter would roll everything back. The fleet stops the bad one alone: its"
            " last good version serves on.",
        )
        before = self._workspace.tenants()
        for name, version in before.items():
            if version == "summary":
                self._workspace.set_tenant(name, NEW_VERSION)
        self._workspace.set_tenant(BROKEN, self._publish_broken())
        self._workspace.set_tenant(ADDED, NEW_VERSION)
        self._workspace.remove_tenant(REMOVED)
        self._ran("plan", self._workspace.manifest.name, "--fleet", "Tenants")
        with self._step("cdk deploy"):
            self._cdk.deploy(validate=False)  # the template is the one that was judged before
        self._expect_summary("99 of 100 adapters in service, 1 failed", f"{BROKEN}: ")
        self._ran("status", "--fleet", "Tenants", code=1)
        self._check_tenants({**self._workspace.tenants(), BROKEN: before[BROKEN]})
        self._expect(self._endpoint.gone(f"{self._prefix}-{REMOVED}"), f"{REMOVED} is gone")

    def destroy(self) -> None:
        """Destroy the stack and look for anything that is left of it."""
        self._chapter(
            "4/4 And away", "`cdk destroy` deletes everything. Then each service is asked what is left."
        )
        with self._step("cdk destroy"):
            self._cdk.destroy()
        for item in self._s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
            self._s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        self._s3.delete_bucket(Bucket=BUCKET)  # the demo made it, and not the stack
        left = leftovers(self._client)
        self._expect(not left, f"left: {', '.join(left) or 'nothing'}")

    # --- how

    def _publish_broken(self) -> str:
        """Publish an adapter whose configuration has another rank than its tensors; return its URI."""
        with tempfile.TemporaryDirectory() as folder:
            broken = Path(shutil.copytree(TICKETS / "adapters" / "summary", Path(folder) / "broken"))
            file = broken / "adapter_config.json"
            config = json.loads(file.read_text())
            file.write_text(json.dumps({**config, "r": config["r"] // 2}))
            packed = pack(broken, Path(folder) / "adapter.tar.gz")
            key = f"broken/sha256-{packed.identity}.tar.gz"
            self._s3.upload_file(str(packed.path), BUCKET, key)
        return f"s3://{BUCKET}/{key}"

    def _check_tenants(self, tenants: dict[str, str]) -> None:
        """Ask every tenant's adapter, and expect the answer of its version."""
        wrong = self._endpoint.wrong({f"{self._prefix}-{name}": version for name, version in tenants.items()})
        self._expect(
            not wrong, "; ".join(wrong[:3]) or f"each of {len(tenants)} tenants answers as its version"
        )

    def _expect_summary(self, beginning: str, part: str = "") -> None:
        summary = self._cdk.outputs()["TenantsSummary"]
        self._expect(summary.startswith(beginning) and part in summary, f"TenantsSummary = {summary}")

    def _expect(self, holds: bool, what: str, *, quiet: bool = False) -> None:
        """Note whether something is as expected; if `quiet`, only show it where it is not."""
        if not holds:
            self.unexpected.append(what)
        if not holds or not quiet:
            self._line(f"[green]✓[/] {escape(what)}" if holds else f"[red]✗[/] {escape(what)}")

    def _ran(self, *arguments: str, code: int = 0) -> None:
        """Run `adapters`, show the first lines of what it prints, and expect its exit code."""
        done = subprocess.run(
            ["adapters", *arguments],
            cwd=self._workspace.environment.parent,
            env={**self._cloud.environment, "ADAPTERS_STACK": STACK},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        lines = done.stdout.rstrip().splitlines()
        self._line(f"[bold]$ adapters {escape(' '.join(arguments))}[/]")
        for line in lines[:SHOWN_LINES]:
            self._line(f"  {escape(line)}")
        if lines[SHOWN_LINES:]:
            self._line(f"  [dim]… {len(lines) - SHOWN_LINES} lines more[/]")
        self._expect(done.returncode == code, f"it ended with {done.returncode}, expected {code}", quiet=True)

    def _chapter(self, title: str, why: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{escape(title)}[/]", align="left", style="dim")
        self._console.print(Text(why, style="italic"))

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        """Show that something is under way, then how long it took."""
        started = time.monotonic()
        with self._console.status(f"{escape(what)} …"):
            yield
        self._line(f"[green]✓[/] {escape(what)} [dim]({time.monotonic() - started:.1f} s)[/]")

    def _line(self, markup: str) -> None:
        self._console.print(markup, highlight=False, soft_wrap=True)

    def _client(self, service: str) -> Any:
        # No retries: a failed request has to show as one.
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)
        return self._cloud.client(service, config=config)


def main() -> int:
    """Run every chapter; return the exit code."""
    console, started = Console(), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="demo-"))
    workspace = Workspace(folder / "app")
    try:
        with LocalCloud(profile="kind") as cloud:
            cdk = Cdk(
                options=("-c", f"environment={workspace.environment}"),
                out=workspace.cdk_out,
                home=folder / "home",
                variables=cloud.environment,
            )
            demo = Demo(console, cloud, workspace, cdk)
            for chapter in (demo.deploy, demo.compare, demo.change, demo.destroy):
                chapter()
    except (CdkError, ClientError) as error:
        console.print(f"[red]✗[/] {escape(str(error))}", highlight=False)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if demo.unexpected:
        console.print(f"[red]{len(demo.unexpected)} things were not as expected.[/]")
        return 1
    console.print(f"[bold green]Everything was as expected[/], in {time.monotonic() - started:.0f} s.")
    console.print(Text(f"\n{NEXT_STEPS}"), soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
