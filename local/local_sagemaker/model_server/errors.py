"""Errors of requests, each with the status that an LMI container answers."""

from typing import ClassVar


class ModelServerError(Exception):
    """A failure that the caller sees."""

    status: ClassVar[int] = 500


class BadRequestError(ModelServerError):
    """The request itself is wrong, or LoRA is switched off."""

    status = 400


class NotFoundError(ModelServerError):
    """No such adapter or model."""

    status = 404


class DuplicateAdapterError(ModelServerError):
    """An adapter of that name is registered already."""

    status = 409


class AdapterLoadError(ModelServerError):
    """The adapter's files cannot be served on this base model under these settings."""

    status = 424


class NoFreeSlotError(ModelServerError):
    """Every GPU slot is pinned."""

    status = 507
