"""What an endpoint writes of its requests and answers to a bucket."""

from enum import StrEnum


class CaptureMode(StrEnum):
    """What data capture writes.

    Example::

        CaptureMode.INPUT  # `mode` of a `DataCapture`
    """

    INPUT = "Input"
    """Requests."""
    OUTPUT = "Output"
    """Answers."""
    INPUT_AND_OUTPUT = "InputAndOutput"
    """Both."""
