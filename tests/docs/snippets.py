"""Runs a block of Python that declares constructs: what it leaves out is added, and its stack is synthesized.

A block sees the names of the blocks above it. Other names that it uses without an import are those of the
library and of the CDK, and the things of `Surroundings`: an endpoint, a fleet, a bucket.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk.aws_applicationautoscaling import Schedule

import multi_adapter_inference as library
from tests.constructs.conftest import endpoint_of
from tests.docs.blocks import ROOT, Block

_FILES = {
    "adapters.yaml": "adapters:\n"
    "  - {name: acme, artifact: ./examples/tickets/adapters/summary, tags: {tenant: acme}}\n",
}
_FURTHER: Mapping[str, object] = {"Schedule": Schedule}


class Surroundings:
    """What blocks use and do not declare. Each is made where a block first names it."""

    def __init__(self, folder: Path) -> None:
        self.app = cdk.App(outdir=str(folder / "cdk.out"))
        self.self = cdk.Stack(
            self.app, "Stack", env=cdk.Environment(account="111122223333", region="us-east-1")
        )

    @property
    def bucket(self) -> s3.IBucket:
        """A bucket."""
        return s3.Bucket.from_bucket_name(self.self, "Surroundings-Bucket", "amzn-s3-demo-bucket")

    @property
    def models(self) -> s3.IBucket:
        """A bucket of models."""
        return s3.Bucket.from_bucket_name(self.self, "Surroundings-Models", "amzn-s3-demo-bucket-models")

    @property
    def endpoint(self) -> library.MultiAdapterEndpoint:
        """An endpoint that is declared elsewhere."""
        bucket = s3.Bucket.from_bucket_name(self.self, "Surroundings-Base", "amzn-s3-demo-bucket-base")
        return endpoint_of(
            self.self,
            "Surroundings-Llm",
            bucket,
            component_prefix="surroundings",
            artifact_sources=[library.ArtifactSource(bucket=bucket)],
            compute=library.ComputeRequirements(accelerators=1, min_memory=cdk.Size.gibibytes(8)),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of an endpoint without its instances."""
        return {
            "base_model": library.BaseModel.from_bucket(self.models, "llama-3.1-8b-instruct/"),
            "container": library.LmiContainer(version=library.LmiVersion.V19),
            "lora": library.LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
        }

    @property
    def manifest(self) -> library.AdapterManifest:
        """A manifest in a file."""
        return library.AdapterManifest.from_file("adapters.yaml")

    @property
    def fleet(self) -> library.AdapterFleet:
        """A fleet on the endpoint."""
        return library.AdapterFleet(
            self.self, "Surroundings-Tenants", endpoint=self.endpoint, manifest=self.manifest
        )

    @property
    def ectsum(self) -> library.LoraAdapter:
        """An adapter of the stack."""
        adapter = library.AdapterArtifact.from_directory("examples/tickets/adapters/summary")
        return self.endpoint.add_adapter("Ectsum", artifact=adapter)

    @property
    def service(self) -> iam.Role:
        """A role that calls adapters."""
        return iam.Role(
            self.self, "Surroundings-Service", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
        )

    @property
    def topic_arn(self) -> str:
        """The ARN of a topic."""
        return "arn:aws:sns:us-east-1:111122223333:on-call"

    @property
    def topic(self) -> sns.ITopic:
        """A topic."""
        return sns.Topic.from_topic_arn(self.self, "Surroundings-Topic", self.topic_arn)

    @property
    def key(self) -> kms.IKey:
        """A key."""
        return kms.Key(self.self, "Surroundings-Key")

    @property
    def vpc(self) -> ec2.IVpc:
        """A network."""
        return ec2.Vpc(self.self, "Surroundings-Vpc")

    @property
    def subnets(self) -> ec2.SubnetSelection:
        """Subnets of a network."""
        return ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)

    @property
    def group(self) -> ec2.SecurityGroup:
        """A security group."""
        return ec2.SecurityGroup(
            self.self, "Surroundings-Group", vpc=ec2.Vpc(self.self, "Surroundings-Other")
        )


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
    surroundings = Surroundings(folder)
    tree = ast.parse(block.text)
    visible = names.copy()
    for name in sorted(_wanted(tree) - names.keys()):
        visible[name] = _find(name, block, surroundings)
    before = visible.keys() | {"__builtins__"}
    exec(compile(tree, block.name, "exec"), visible)  # noqa: S102  # a page of this repository
    names |= {name: value for name, value in visible.items() if name not in before or name in names}
    surroundings.app.synth()


def _wanted(tree: ast.Module) -> set[str]:
    """Return the names that a block uses and does not define."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    defined = {node.id for node in found if isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            defined.add(node.name)
    return {node.id for node in found} - defined - vars(builtins).keys()


def _find(name: str, block: Block, surroundings: Surroundings) -> object:
    finders: tuple[Callable[[], object], ...] = (
        lambda: getattr(surroundings, name),
        lambda: getattr(library, name),
        lambda: getattr(cdk, name),
        lambda: _FURTHER[name],
    )
    if name in vars(Surroundings) or name == "self":
        return finders[0]()
    for found in finders[1:]:
        try:
            return found()
        except (AttributeError, KeyError):
            continue
    if find_spec(f"aws_cdk.aws_{name}") is not None:
        return import_module(f"aws_cdk.aws_{name}")
    raise NameError(
        f"{block.name}: the block should import {name!r}, or tests/docs/snippets.py should have it"
    )
