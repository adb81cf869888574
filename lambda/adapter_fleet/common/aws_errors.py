"""What an error of AWS says."""

from botocore.exceptions import ClientError


def code_of(error: ClientError) -> str:
    """Return the code of an AWS error, '' where it has none."""
    return error.response.get("Error", {}).get("Code", "")


def message_of(error: ClientError) -> str:
    """Return the message of an AWS error, '' where it has none."""
    return error.response.get("Error", {}).get("Message", "")
