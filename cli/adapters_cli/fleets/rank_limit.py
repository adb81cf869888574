"""The highest rank that the fleet of a manifest takes."""

from botocore.exceptions import BotoCoreError, ClientError

from adapters_cli.aws.account import Account
from adapters_cli.fleets.fleet_lookup import fleets_of_stack, newest_generation, stack_of_environment
from adapters_cli.output.errors import CommandError


def rank_limit_of_manifest(account: Account, manifest: str) -> int | None:
    """Return the `max_lora_rank` of the fleet that reads this manifest in S3; None if it is not known.

    Looks at the fleets of ADAPTERS_STACK alone. One that cannot be read is no error: the limit only makes
    publishing refuse what the fleet would refuse later.
    """
    if not manifest.startswith("s3://"):
        return None
    stack = stack_of_environment()
    if stack is None:
        return None
    try:
        targets = [newest_generation(fleet).request.target for fleet in fleets_of_stack(account, stack)]
    except (CommandError, ClientError, BotoCoreError):
        return None
    return next((target.settings.max_lora_rank for target in targets if target.manifest == manifest), None)
