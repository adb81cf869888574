"""`adapters routes`: write the adapters of a fleet as the configuration of a gateway."""

import os
from typing import Annotated, Any

import typer
import yaml

from adapters_cli.aws.account import account_of
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import desired_by, in_force
from adapters_cli.output.errors import CommandError, UsageError

_CALLBACK = "adapter_fleet.aws.litellm_routes.follows"
_KEYS = "keys.user_api_key_auth"
"""LiteLLM reads `keys.py` beside its configuration. Without the two checks, a key may ask every adapter."""

EXAMPLES = """
# The configuration of LiteLLM's proxy.
adapters routes --to litellm --stack Tenants
"""


def routes(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="GATEWAY", help="The gateway: litellm.")] = "litellm",
) -> None:
    """Write the adapters of a fleet as the configuration of a gateway, with an entry for each adapter.

    A callback finds the component that answers: no release changes the file. `keys.py` beside the file says
    what each key may ask. For fleets with releases.
    """
    if to != "litellm":
        raise UsageError(f"'--to' should be litellm, got {to!r}")
    fleet = find_fleet(account_of(context))
    generation = in_force(fleet.registry, newest_generation(fleet))
    if generation.request.target.settings.releases is None:
        raise CommandError(
            f"fleet '{fleet.record.name}' has no routes; declare 'releases', or name its components yourself"
        )
    endpoint, adapters = generation.request.target.endpoint, desired_by(fleet.registry, generation).adapters
    document = {
        "model_list": [_entry(fleet, endpoint, adapter.name) for adapter in adapters],
        "environment_variables": {"ROUTES_TABLE": fleet.registry.table_name},
        "litellm_settings": {"callbacks": [_CALLBACK], "enable_post_custom_auth_checks": True},
        "general_settings": {"custom_auth": _KEYS, "custom_auth_run_common_checks": True},
    }
    typer.echo(yaml.safe_dump(document, sort_keys=False), nl=False)


def _entry(fleet: Fleet, endpoint: str, name: str) -> dict[str, Any]:
    account = fleet.account
    parameters = {"model": f"sagemaker_chat/{endpoint}", "aws_region_name": account.region}
    if os.environ.keys() & {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"}:
        # LiteLLM knows neither.
        parameters["sagemaker_base_url"] = f"{account.runtime_url}/endpoints/{endpoint}/invocations"
    return {"model_name": name, "litellm_params": parameters, "model_info": {"adapter": name}}
