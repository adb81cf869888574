"""Errors of requests, each with the status that an LMI container answers."""

from pathlib import Path


class ModelServerError(Exception):
    """A failure that the caller sees."""

    status: int = 500


class BadRequestError(ModelServerError):
    """The request itself is wrong."""

    status = 400


class LoraOffError(BadRequestError):
    """LoRA is switched off."""


class NotFoundError(ModelServerError):
    """No adapter of that name is registered."""

    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"adapter '{name}' is not registered")
        self.name = name


class UnknownModelError(NotFoundError):
    """A request to generate names no registered adapter."""


class DuplicateAdapterError(ModelServerError):
    """An adapter of that name is registered already."""

    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(f"adapter '{name}' is registered already")
        self.name = name


class AdapterLoadError(ModelServerError):
    """The adapter's files cannot be served on this base model under these settings."""

    status = 424


class NoAdapterFilesError(AdapterLoadError):
    """The directory is missing, or there is no adapter in it."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(reason)
        self.directory = directory


class NoFreeSlotError(ModelServerError):
    """Every GPU slot is pinned."""

    status = 507
