"""What an error of AWS says."""

from botocore.exceptions import ClientError


def code_of(error: ClientError) -> str:
    """Return the code of an AWS error, '' where it has none."""
    return error.response.get("Error", {}).get("Code", "")


def message_of(error: ClientError) -> str:
    """Return the message of an AWS error, '' where it has none."""
    return error.response.get("Error", {}).get("Message", "")


def container_message(text: str) -> str:
    """Return the container's own words in the message of a ModelError; all of it where it quotes none.

    [T] SageMaker writes `Received client error (400) from COMPONENT with message "…". See LOG …`. The names
    of the component and of the endpoint in it may have any words.
    """
    quoted = text.partition('with message "')[2]
    return quoted.rpartition('"')[0] or quoted or text
