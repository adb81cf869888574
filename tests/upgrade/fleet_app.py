"""An app with one fleet, synthesized with the library of any commit: its roots are in PYTHONPATH."""

from __future__ import annotations

import json
import sys

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

import multi_adapter_inference as library

options = json.loads(sys.argv[1])
app = cdk.App(outdir=options["outdir"], analytics_reporting=False)
stack = cdk.Stack(
    app,
    options["name"],
    env=cdk.Environment(account=options["account"], region=options["region"]),
    synthesizer=cdk.DefaultStackSynthesizer(
        file_assets_bucket_name=options["assets"], generate_bootstrap_version_rule=False
    ),
)
endpoint = library.MultiAdapterEndpoint.from_endpoint_attributes(
    stack,
    "Llm",
    endpoint_name=options["endpoint"],
    base_component_name=options["base"],
    component_prefix=options["name"],
    lora=library.LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16),
    artifact_sources=[
        library.ArtifactSource(
            bucket=s3.Bucket.from_bucket_name(stack, "Archives", options["archives"]), prefix="adapters/"
        )
    ],
    role=iam.Role.from_role_arn(stack, "Role", options["role"]),
)
fleet = library.AdapterFleet(
    stack,
    "Tenants",
    endpoint=endpoint,
    manifest=library.AdapterManifest.from_file(options["manifest"]),
    request_rate=50.0,
    **({"releases": library.Releases(keep=1, drain=cdk.Duration.seconds(80))} if options["releases"] else {}),
)
fleet.monitor(**({"max_failed": 1} if options["releases"] else {}))
cdk.CfnOutput(stack, "TenantsTable", value=fleet.registry.table_name)
cdk.CfnOutput(stack, "TenantsSummary", value=fleet.summary)
app.synth()
