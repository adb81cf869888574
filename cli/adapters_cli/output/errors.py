"""The errors of commands, and how a command reports an error."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from botocore.session import Session

from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.fleet.state.rows.row import UnreadableError
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapters_cli.output.exit_codes import FAILED, NO_ANSWER, WRONG_USAGE
from adapters_cli.output.text import hint_for_path, print_error


class CommandError(Exception):
    """A command cannot do what it was asked to. The text has one line for each reason."""

    code = FAILED
    """Exit code of the command."""


class UsageError(CommandError):
    """The options of a command are incomplete or contradict each other."""

    code = WRONG_USAGE


class NoAnswerError(CommandError):
    """AWS gave no answer, or one that this version does not understand."""

    code = NO_ANSWER


class NoFleetError(NoAnswerError):
    """The options name no fleet."""


@contextmanager
def reported_errors() -> Iterator[None]:
    """Print an expected error as one message, and end the command with its exit code.

    - A CommandError has its own code.
    - No answer of AWS or of a registry: NO_ANSWER.
    - A manifest with mistakes, and a full disk: FAILED.

    A UsageError, and a file that cannot be read or written, go on as typer's own error of wrong usage. Any
    other exception is a bug, and keeps its traceback.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has gone, as with `| head`: there is no error to report
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    except CommandError as error:
        _end(error, error.code)
    except (BotoCoreError, ClientError, ServiceError, UnreadableError, TimeoutError) as error:
        _end(error, NO_ANSWER)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _end(error, FAILED)
        if error.filename is None:
            raise
        raise typer.BadParameter(error_text(error)) from None
    except ValueError as error:
        # Imported here: few commands read manifests.
        from adapter_fleet.manifest.manifest_adapter import ManifestError

        if not isinstance(error, ManifestError):
            raise
        _end(error, FAILED)


def _end(error: Exception, code: int) -> NoReturn:
    print_error(error_text(error))
    raise typer.Exit(code) from None


@contextmanager
def option_errors() -> Iterator[None]:
    """Turn the ValueError of an option's value into a UsageError."""
    try:
        yield
    except BotoCoreError:
        raise  # some are ValueErrors, such as that of a wrong region
    except ValueError as error:
        raise UsageError(str(error)) from None


def error_text(error: Exception) -> str:
    """Return the message of an error. An AWS error's code follows its message."""
    if isinstance(error, NoRegionError):
        unread = "; AWS_REGION is set, and boto3 does not read it" if os.environ.get("AWS_REGION") else ""
        return f"no region is given: set AWS_DEFAULT_REGION, or 'region' in the profile{unread}"
    if isinstance(error, NoCredentialsError):
        return f"{error}; log in with 'aws sso login', or set AWS_PROFILE"
    if isinstance(error, EndpointConnectionError) and os.environ.get("AWS_ENDPOINT_URL"):
        return f"{error}; AWS_ENDPOINT_URL is set: start the embedded cloud there, or unset it for AWS"
    if isinstance(error, ProfileNotFound):
        profile = error.kwargs["profile"]
        return f"{error}{did_you_mean(profile, Session().available_profiles)}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}{hint_for_path(error.filename)}"
    if isinstance(error, KeyError) or not str(error):
        return f"{type(error).__name__}: {error}"  # its text is no sentence
    if not isinstance(error, ClientError):
        return str(error)
    details = error.response.get("Error", {})
    return f"{details.get('Message', '')} ({details.get('Code', 'unknown error')})"


@contextmanager
def library_errors() -> Iterator[None]:
    """Turn the error for a library of the extra that is not installed into a UsageError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the library {error.name!r} should be installed for evaluations:"
            ' pip install "${WHEEL}[evaluate]", where WHEEL is the file of the wheel'
        ) from None
