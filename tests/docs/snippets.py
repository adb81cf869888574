"""Runs a block of Python that declares constructs: what it leaves out is added, and its stack is synthesized.

A block sees the names of the blocks above it. Other names that it uses without an import are those of the
library and of the CDK, and the things of `Surroundings`: an endpoint, a fleet, a bucket.
"""

import builtins
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from symtable import symtable
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk.aws_cloudwatch_actions import SnsAction

import multi_adapter_inference as library
from tests.constructs.conftest import endpoint_of
from tests.docs.blocks import ROOT, Block

_FILES = {
    "adapters.yaml": "adapters:\n"
    "  - {name: acme, artifact: ./examples/tickets/adapters/summary, tags: {tenant: acme}}\n"
    "  - {name: ectsum, artifact: ./examples/tickets/adapters/shout, tags: {tenant: ectsum}}\n",
}


Surroundings = Mapping[str, Callable[[], Any]]


def surroundings_in(stack: cdk.Stack) -> Surroundings:
    """Return what blocks use and do not declare. Each is made where a block first names it."""

    def bucket(id: str, name: str) -> s3.IBucket:
        return s3.Bucket.from_bucket_name(stack, f"Surroundings-{id}", name)

    def models() -> s3.IBucket:
        return bucket("Models", "amzn-s3-demo-bucket-models")

    def endpoint() -> library.MultiAdapterEndpoint:
        own = bucket("Base", "amzn-s3-demo-bucket-base")
        others = bucket("Sources", "amzn-s3-demo-bucket")
        return endpoint_of(
            stack,
            "Surroundings-Llm",
            own,
            component_prefix="surroundings",
            artifact_sources=[library.ArtifactSource(bucket=each) for each in (own, others)],
            compute=library.ComputeRequirements(accelerators=1, min_memory=cdk.Size.gibibytes(8)),
        )

    def manifest() -> library.AdapterManifest:
        return library.AdapterManifest.from_file("adapters.yaml")

    def fleet() -> library.AdapterFleet:
        return library.AdapterFleet(stack, "Surroundings-Tenants", endpoint=endpoint(), manifest=manifest())

    def ectsum() -> library.LoraAdapter:
        artifact = library.AdapterArtifact.from_directory("examples/tickets/adapters/summary")
        return endpoint().add_adapter("Ectsum", artifact=artifact)

    def settings() -> dict[str, Any]:
        """The arguments of an endpoint without its instances."""
        return {
            "base_model": library.BaseModel.from_bucket(models(), "llama-3.1-8b-instruct/"),
            "container": library.LmiContainer(version=library.LmiVersion.V28),
            "lora": library.LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
        }

    def vpc(id: str) -> ec2.IVpc:
        return ec2.Vpc(stack, f"Surroundings-{id}")

    topic_arn = "arn:aws:sns:us-east-1:111122223333:on-call"
    caller = iam.ServicePrincipal("lambda.amazonaws.com")
    return {
        "app": lambda: stack.node.root,
        "self": lambda: stack,
        "stack": lambda: stack,
        "bucket": lambda: bucket("Bucket", "amzn-s3-demo-bucket"),
        "models": models,
        "endpoint": endpoint,
        "settings": settings,
        "manifest": manifest,
        "fleet": fleet,
        "ectsum": ectsum,
        "service": lambda: iam.Role(stack, "Surroundings-Service", assumed_by=caller),
        "caller": lambda: iam.Role(stack, "Surroundings-Caller", assumed_by=caller),
        "topic_arn": lambda: topic_arn,
        "on_call": lambda: SnsAction(sns.Topic(stack, "Surroundings-OnCall")),
        "topic": lambda: sns.Topic.from_topic_arn(stack, "Surroundings-Topic", topic_arn),
        "key": lambda: kms.Key(stack, "Surroundings-Key"),
        "vpc": lambda: vpc("Vpc"),
        "subnets": lambda: ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
        "group": lambda: ec2.SecurityGroup(stack, "Surroundings-Group", vpc=vpc("Other")),
    }


def run(block: Block, folder: Path, names: dict[str, Any]) -> None:
    """Run a block in a folder that is the present one, and synthesize what it declares.

    names:
        The names of the page so far. The block's own are added.
    """
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    for name in ("examples", "environments"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    app = cdk.App(outdir=str(folder / "cdk.out"))
    env = cdk.Environment(account="111122223333", region="us-east-1")
    surroundings = surroundings_in(cdk.Stack(app, "Stack", env=env))
    visible = names.copy()
    for name in sorted(_wanted(block) - names.keys()):
        visible[name] = _find(name, block, surroundings)
    before = visible.keys() | {"__builtins__"}
    exec(compile(block.text, block.name, "exec"), visible)  # noqa: S102  # a page of this repository
    names |= {name: value for name, value in visible.items() if name not in before or name in names}
    app.synth()


def _wanted(block: Block) -> set[str]:
    """Return the names that a block uses and does not define."""
    page = symtable(block.text, block.name, "exec")
    defined = {each.get_name() for each in page.get_symbols() if each.is_assigned() or each.is_imported()}
    used: set[str] = set()
    tables = [page]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        used |= {each.get_name() for each in table.get_symbols() if each.is_referenced() and each.is_global()}
    return used - defined - vars(builtins).keys()


def _find(name: str, block: Block, surroundings: Surroundings) -> object:
    if name in surroundings:
        return surroundings[name]()
    for module in (library, cdk, aws_applicationautoscaling):
        if hasattr(module, name):
            return getattr(module, name)
    if find_spec(f"aws_cdk.aws_{name}") is not None:
        return import_module(f"aws_cdk.aws_{name}")
    raise NameError(
        f"{block.name}: the block should import {name!r}, or tests/docs/snippets.py should have it"
    )
