"""What a `HubModel` copies, from where and to where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager

from adapter_fleet.common.validators import TOKEN
from adapter_fleet.hub.store import repository_prefix
from multi_adapter_inference._internal.object_prefix import as_folder

_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*/(?!\.{1,2}$)[\w.-]+", re.ASCII)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """A revision of a model of a hub, and the folder of a bucket to copy it to; see `HubModel`."""

    model_id: str
    revision: str
    bucket: s3.IBucket
    prefix: str
    token: secretsmanager.ISecret | None
    hub_endpoint: str

    def __post_init__(self) -> None:
        self._check_model()
        self._check_prefix()
        self._check_endpoint()

    @property
    def repository_prefix(self) -> str:
        """The beginning of the keys of every copy of this model."""
        return repository_prefix(as_folder(self.prefix), self.model_id)

    def _check_model(self) -> None:
        should_be = "'<organization>/<model>', known at synth"
        if TOKEN in self.model_id:
            raise ValueError(f"'model_id' should be {should_be}, got a token")
        if not _MODEL_ID.fullmatch(self.model_id):
            raise ValueError(f"'model_id' should be {should_be}, got {self.model_id!r}")
        should_be = "a commit, or a branch or tag that is resolved once"
        if not self.revision.strip():
            raise ValueError(f"'revision' should be {should_be}, got {self.revision!r}")

    def _check_prefix(self) -> None:
        parts = as_folder(self.prefix).removesuffix("/").split("/")
        if "://" in self.prefix or (self.prefix and any(part in ("", ".", "..") for part in parts)):
            raise ValueError(
                f"'prefix' should be the beginning of the keys, such as 'base', got {self.prefix!r}"
            )

    def _check_endpoint(self) -> None:
        should_be = "an https URL without a query (http with no token only)"
        try:
            parts = urlsplit(self.hub_endpoint)
            port = parts.port
        except ValueError:
            raise ValueError(f"'hub_endpoint' should be {should_be}, got {self.hub_endpoint!r}") from None
        loopback = parts.hostname in _LOOPBACK
        if (
            not parts.hostname
            or port == 0
            or parts.username
            or parts.query
            or parts.fragment
            or not (parts.scheme == "https" or (parts.scheme == "http" and (loopback or self.token is None)))
        ):
            raise ValueError(f"'hub_endpoint' should be {should_be}, got {self.hub_endpoint!r}")
