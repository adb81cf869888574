"""From `adapters rollback` to the last answer of the version taken back: by a route, and in place.

The route is kept for 15 seconds by the caller. An update in place takes 0.2 s under `kind` here and 1 s under
`hostile`; it took 8:42 minutes in a saved run on AWS.
"""

import json
import threading
import time
from collections.abc import Callable

from bench.cloud import PREFIX, STACK, Account, endpoint_in, synthesize  # isort: skip - before the CDK

import aws_cdk as cdk
from typer.testing import CliRunner

from adapter_fleet.aws.adapter_routes import AdapterRoutes
from adapters_cli.main import app
from bench.harness import Claim, publish
from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import PROFILES, Profile
from multi_adapter_inference import AdapterArtifact, AdapterManifest, FleetAdapter, Releases

ROUNDS, ENOUGH = 3, 100  # rollbacks, and answers of the other version in a row


def deploy(account: Account, uri: str) -> None:
    """Deploy both fleets with one adapter of this version."""

    def build(stack: cdk.Stack) -> None:
        endpoint = endpoint_in(stack)
        cdk.CfnOutput(stack, "Endpoint", value=endpoint.endpoint_name)
        adapter = FleetAdapter(name="acme", artifact=AdapterArtifact.from_uri(uri))
        for name, releases in {"InPlace": None, "Released": Releases()}.items():
            manifest, prefix = AdapterManifest.from_adapters([adapter]), f"{PREFIX}-{name.lower()}"
            fleet = endpoint.add_fleet(name, manifest=manifest, component_prefix=prefix, releases=releases)
            cdk.CfnOutput(stack, f"{name}Table", value=fleet.registry.table_name)

    account.deploy(synthesize(build))


def measure(profile: Profile) -> dict[str, tuple[list[float], int]]:
    """Return by fleet the seconds of each rollback, and how many calls failed meanwhile."""
    with LocalCloud(profile=profile) as cloud:
        account = Account(cloud)
        for uri in account.adapters[:2]:
            deploy(account, uri)
        outputs, runtime = account.outputs(), account.client("sagemaker-runtime")
        routes = AdapterRoutes(outputs["ReleasedTable"], account.client("dynamodb"))

        def send(component: str) -> str:
            answer = runtime.invoke_endpoint(
                EndpointName=outputs["Endpoint"],
                InferenceComponentName=component,
                ContentType="application/json",
                Body=json.dumps({"prompt": "Ticket: the keyboard is broken.", "max_tokens": 8}),
            )
            return str(json.loads(answer["Body"].read())["choices"][0]["text"])

        return {
            "InPlace": _rollbacks(cloud, "InPlace", lambda: send(f"{PREFIX}-inplace-acme")),
            "Released": _rollbacks(cloud, "Released", lambda: routes.ask("acme", send)),
        }


def _rollbacks(cloud: LocalCloud, fleet: str, ask: Callable[[], str]) -> tuple[list[float], int]:
    seconds, failed, old = [], 0, ask()
    for _ in range(ROUNDS):
        began = last = time.monotonic()
        ordered = threading.Thread(target=_adapters, args=(cloud, fleet, "rollback", "acme"))
        ordered.start()
        others = 0
        while others < ENOUGH:
            try:
                others = 0 if ask() == old else others + 1
            except Exception:  # whatever a caller gets instead of an answer
                failed += 1
                continue
            last = last if others else time.monotonic()
        seconds.append(last - began)
        ordered.join()
        _adapters(cloud, fleet, "rollback", "acme", "--undo")
        _adapters(cloud, fleet, "status", "--wait")
        time.sleep(16)  # callers keep a route for 15 s
    return seconds, failed


def _adapters(cloud: LocalCloud, fleet: str, *arguments: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--stack", STACK, "--fleet", fleet], env=cloud.environment)
    if result.exit_code:
        raise RuntimeError(result.output)


def main() -> int:
    claims, figures = [], []
    for profile in PROFILES:
        measured = measure(profile)
        for fleet, (seconds, failed) in measured.items():
            shown = " ".join(f"{one:.1f}" for one in seconds)
            figures.append({"profile, fleet": f"{profile}, {fleet}", "seconds": shown, "failed": str(failed)})
        ours, other = (max(measured[fleet][0]) for fleet in ("Released", "InPlace"))
        claim = f"{profile}: s from a rollback to the last old answer, by a route beside in place"
        goal, holds = "ours at most 17, no call failed", ours <= 17 and not measured["Released"][1]
        claims.append(Claim(claim=claim, ours=ours, other=other, ratio=other / ours, goal=goal, holds=holds))
    return publish("rollback", claims, figures=figures)


if __name__ == "__main__":
    raise SystemExit(main())
