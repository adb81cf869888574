"""The manifest that declares published adapters."""

from collections.abc import Sequence

from adapter_fleet.common.findings import shortened
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import LocalArtifact, ManifestAdapter, S3Artifact
from adapter_fleet.serving.base_model import BaseModelFacts
from adapters_cli.artifacts.archive_store import ArchiveStore
from adapters_cli.artifacts.local_adapters import LocalAdapter
from adapters_cli.artifacts.publisher import Candidate, PublishResult
from adapters_cli.aws.account import Account
from adapters_cli.manifests.edit import edited
from adapters_cli.manifests.editable_manifest import EditableManifest
from adapters_cli.output.errors import CommandError
from adapters_cli.output.text import few, print_note


class DeclaredAdapters:
    """The manifest that declares the published adapters.

    base_model:
        The base model of the option or of the manifest; None before the adapters are checked if neither
        gives it.
    """

    def __init__(self, where: str, account: Account, base_model: str | None) -> None:
        self.manifest = EditableManifest.of(where, account)
        self.before = self.manifest.parsed()
        self.base_model = self._base_model(base_model)

    def _base_model(self, given: str | None) -> str | None:
        """Return the given base model or else the manifest's. Raises CommandError if they differ."""
        present = self.before.base_model
        if present is None or given is None or BaseModelFacts(name=present).is_named(given):
            return given or present
        raise CommandError(
            f"{self.manifest.where}: base_model: should be {given!r} ('--base-model'), got {present!r}"
        )

    def entry(self, name: str) -> ManifestAdapter | None:
        """Return the entry of an adapter before it is published; None if it has none."""
        entries = self.before.adapters
        return next((entry for entry in entries if entry.name.casefold() == name.casefold()), None)

    def on_this_machine(self) -> list[LocalAdapter]:
        """Return the adapters whose entries name a path. Raises CommandError if there are none."""
        found = [
            LocalAdapter(name=adapter.name, path=adapter.artifact.path)
            for adapter in self.before.adapters
            if isinstance(adapter.artifact, LocalArtifact)
        ]
        if not found:
            raise CommandError("there is nothing to publish: the manifest has no adapter on this machine")
        return found

    def rehearse(self, candidates: Sequence[Candidate], store: ArchiveStore) -> None:
        """Edit the manifest in memory, so that its mistakes are reported before the upload.

        Most identities are unknown yet, so made-up ones stand for them. Adapters that the manifest has in
        this place already are left out: they may stay as they are.
        """
        if self.base_model is None:
            self.base_model = _common_base_model(candidates)
        known = {
            adapter.artifact.uri.rpartition("/")[0]
            for adapter in self.before.adapters
            if isinstance(adapter.artifact, S3Artifact)
        }
        identity = "0" * 64
        places = [
            (candidate, store.uri(store.key(candidate.adapter.name, identity)))
            for candidate in candidates
            if candidate.rank is not None
        ]
        new = [
            ManifestAdapter(
                name=candidate.adapter.name,
                artifact=S3Artifact(uri=uri),
                digest=identity,
                checksum=f"sha256:{identity}",
                rank=candidate.rank,
            )
            for candidate, uri in places
            if uri.rpartition("/")[0] not in known
        ]
        if places:
            self._edited(self.manifest.read(), new)

    def update(self, results: Sequence[PublishResult], percent: int | None = None) -> bool:
        """Declare what is in S3 by now; return True if that changes the manifest. Prints its warnings.

        percent:
            The share of the callers whom new versions answer.

        Raises CommandError if the manifest names another version by now than the one that the evaluation of
        an adapter was compared with.
        """
        adapters = self._entries(results, percent)

        def change(text: bytes) -> bytes:
            self._check_unchanged(text, [adapter.name for adapter in adapters if adapter.evaluation])
            return self._edited(text, adapters)

        if not adapters or not self.manifest.update(change):
            return False
        for warning in shortened(self.manifest.parsed().warnings()):
            print_note(str(warning))
        return True

    def rehearse_update(self, results: Sequence[PublishResult]) -> None:
        """Edit the manifest in memory, so that its mistakes are reported before anything is copied."""
        self._edited(self.manifest.read(), self._entries(results, None))

    def _entries(self, results: Sequence[PublishResult], percent: int | None) -> list[ManifestAdapter]:
        """Return the entries of what is published."""
        return [
            ManifestAdapter(
                name=result.name,
                artifact=S3Artifact(uri=result.uri),
                digest=result.identity,
                checksum=result.checksum,
                rank=result.rank,
                probe=result.probe,
                evaluation=result.evaluation,
                percent=percent,
            )
            for result in results
            if not result.reasons
            and result.uri is not None
            and result.identity is not None
            and result.rank is not None
        ]

    def _check_unchanged(self, text: bytes, names: Sequence[str]) -> None:
        manifest = Manifest.parse(text, where=self.manifest.where, folder=self.manifest.folder)
        now = {entry.name.casefold(): entry.known_digest for entry in manifest.adapters}
        before = {entry.name.casefold(): entry.known_digest for entry in self.before.adapters}
        changed = [name for name in names if now.get(name.casefold()) != before.get(name.casefold())]
        if changed:
            raise CommandError(
                f"{self.manifest.where}: it names another version of {few(changed)} by now, which was not"
                " compared; run this again"
            )

    def _edited(self, text: bytes, adapters: Sequence[ManifestAdapter]) -> bytes:
        return edited(
            text,
            adapters,
            base_model=self.base_model,
            where=self.manifest.where,
            folder=self.manifest.folder,
        )


def _common_base_model(candidates: Sequence[Candidate]) -> str | None:
    """Return the base model of all adapters. Raises CommandError if there are several."""
    names: dict[str, list[str]] = {}
    for candidate in candidates:
        if (base := candidate.base_model) is not None:
            same = next((other for other in names if BaseModelFacts(name=other).is_named(base)), base)
            names.setdefault(same, []).append(candidate.adapter.name)
    if len(names) > 1:
        lines = [f"{base!r}: {few(adapters)}" for base, adapters in names.items()]
        raise CommandError(
            "\n".join(
                [
                    "a manifest is for one base model, and the adapters were trained for several; publish"
                    " those of each to a manifest of its own, or give --base-model if it is the same one:",
                    *lines,
                ]
            )
        )
    return next(iter(names), None)
