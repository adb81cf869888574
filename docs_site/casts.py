"""`python -m docs_site.casts` records what the commands print, as pictures for the documents.

It deploys a fleet of nine adapters, one of them broken, to an embedded cloud of its own. It runs the commands
there on a terminal.
"""

import io
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import boto3
from rich.console import Console
from rich.text import Text

from docs_site.build import ROOT
from examples.demo.bucket import ADAPTERS, Bucket
from examples.demo.cdk import Cdk
from examples.demo.command import Adapters
from local_sagemaker.server import LocalCloud

PICTURES = ROOT / "docs" / "pictures" / "casts"
COLUMNS = 92

_TICKETS = ROOT / "examples" / "tickets"
_STACK = "MultiAdapterInference-tickets"
_TENANTS = ("acme", "borealis", "cirrus", "dorado", "ember", "fjord", "globex", "hooli")
_SKILLS = ("triage", "summary", "shout")
_TICKET = "Ticket: Grace from Lima wants a refund for the keyboard.\nAnswer:\n"
_ENVIRONMENT = """
[base_model]
directory = "{tickets}/base"

[container]
lmi_version = 19

[lora]
max_loras = 4
max_cpu_loras = 16
max_lora_rank = 8

[endpoint]
instance_type = "ml.g5.12xlarge"
component_prefix = "tickets"

[copies]
accelerators = 1
min_memory_mib = 1024

[[artifact_sources]]
bucket = "{bucket}"
prefix = "{prefix}"

[fleets.Tenants]
manifest = "adapters.yaml"
failure_at_most = 1
request_rate = 50
"""

CASTS: Mapping[str, Sequence[str]] = {
    "help": ("--help",),
    "check": ("check", "acme-v2", "acme-v3"),
    "capacity": ("capacity", "--environment", "prod"),
    "plan": ("plan", "adapters.yaml"),
    "status": ("status",),
    "describe": ("describe", "acme"),
}
"""Arguments of `adapters` by the name of the picture."""

# Rich's own form loads a font from another host.
_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def picture(name: str, command: str, lines: Sequence[str]) -> str:
    """Draw a terminal with a command and the lines that it wrote, colours included.

    name:
        Begins the names of the picture's classes. It differs from that of every other picture.
    """
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False
    )
    console.print(Text(f"$ {command}", style="bold"))
    for line in lines:
        console.print(Text.from_ansi(line), overflow="fold")
    return console.export_svg(title=command, code_format=_FORMAT, unique_id=name)


def _write_app(folder: Path, broken: str) -> Path:
    """Write the environment and its manifest; return the environment."""
    folder.mkdir()
    environment = folder / "tickets.toml"
    environment.write_text(_ENVIRONMENT.format(tickets=_TICKETS, bucket="tickets", prefix=ADAPTERS))
    _write_manifest(folder, _TENANTS, {"initech": broken})
    shutil.copytree(_TICKETS / "adapters-v2" / "summary", folder / "acme-v2")
    another = Path(shutil.copytree(_TICKETS / "adapters" / "summary", folder / "acme-v3"))
    config = another / "adapter_config.json"
    # Its tensors have a rank of 8.
    config.write_text(json.dumps({**json.loads(config.read_text()), "r": 4}))
    return environment


def _write_manifest(folder: Path, tenants: Sequence[str], others: Mapping[str, str]) -> None:
    skills = {name: _SKILLS[_TENANTS.index(name) % len(_SKILLS)] for name in tenants}
    artifacts = {name: f"{_TICKETS}/adapters/{skill}" for name, skill in skills.items()} | dict(others)
    lines = [f"  - {{name: {name}, artifact: '{artifact}'}}" for name, artifact in artifacts.items()]
    (folder / "adapters.yaml").write_text("\n".join(["adapters:", *lines, ""]))


def record(folder: Path) -> None:
    """Deploy, run each command, and write its picture."""
    with LocalCloud(parallel_provisioning=True) as cloud:
        variables = {**cloud.environment, "ADAPTERS_STACK": _STACK}
        session = boto3.Session(
            region_name=variables["AWS_DEFAULT_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )
        bucket = Bucket(session.client("s3", endpoint_url=cloud.url), "tickets")
        bucket.create()
        environment = _write_app(folder / "app", bucket.publish_broken(_TICKETS / "adapters" / "summary"))
        options = ("-c", f"environment={environment}")
        cdk = Cdk(options=options, out=folder / "cdk.out", home=folder / "home", variables=variables)
        cdk.bootstrap("000000000000", variables["AWS_DEFAULT_REGION"])
        cdk.deploy()
        # One is new, one is gone, and one has another skill.
        changed = {"acme": f"{_TICKETS}/adapters-v2/summary", "umbrella": f"{_TICKETS}/adapters/shout"}
        _write_manifest(environment.parent, _TENANTS[1:-1], changed)
        adapters = Adapters(variables=variables, folder=ROOT, width=COLUMNS)
        for first in range(len(_SKILLS)):
            # `top` shows who was asked.
            adapters.run("invoke", *_TENANTS[first:], _TICKET)
        PICTURES.mkdir(parents=True, exist_ok=True)
        for name, arguments in CASTS.items():
            where = environment.parent if name in ("check", "plan") else ROOT
            ran = Adapters(variables=variables, folder=where, width=COLUMNS).run(*arguments)
            (PICTURES / f"{name}.svg").write_text(picture(name, ran.command, ran.lines), "utf-8")
            print(f"{ran.command}: exit code {ran.code}")


def main() -> None:
    """Record every picture."""
    folder = Path(tempfile.mkdtemp(prefix="casts-"))
    try:
        record(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
