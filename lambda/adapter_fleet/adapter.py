"""The checks of an adapter before anything is created: its files, its configuration, its tensors.

Every rule has an identifier, which the findings carry:

=====================  ========  ======================================================================
rule                   severity  what it asks for
=====================  ========  ======================================================================
adapter-files          error     two files and at most a README, at the root, no links, none twice
archive-readable       error     a gzipped tar within `ArchiveLimits`
config-readable        error     an `adapter_config.json` that is a JSON object with one meaning
config-fields          error     `r`, `lora_alpha` and `target_modules`, of the right types
lora-method            error     plain LoRA: no DoRA, biases, saved modules or replicated layers
lora-initialisation    warning   training on the base's own weights
lora-rank              error     no rank above the engine's maximum
lora-scaling           warning   one scale for all modules
weights-readable       error     a whole and consistent safetensors file
lora-tensors           error     pairs of A and B, of one rank and a floating type, and nothing else
target-modules         error     tensors of the modules that the configuration names
base-model-name        warning   training for the base that it is to run on
base-model-dimensions  error     modules and widths that this base has
=====================  ========  ======================================================================

The engine applies most of these when it loads the adapter, in a container, minutes after a deployment
began; those on the base model it does not apply at all.
"""

import os
import stat
from pathlib import Path
from typing import IO

from adapter_fleet.adapter_config import MAX_CONFIG_BYTES, AdapterConfig, read_config
from adapter_fleet.archive import (
    CONFIG_FILE,
    REQUIRED_FILES,
    WEIGHTS_FILE,
    ArchiveError,
    ArchiveLimits,
    entries,
    problem_of_entry,
)
from adapter_fleet.base_model import BaseModelFacts
from adapter_fleet.findings import Finding, shortened
from adapter_fleet.leftovers import is_leftover
from adapter_fleet.lora_tensors import tensor_findings
from adapter_fleet.safetensors_header import HeaderError, Tensor, read_tensors
from adapter_fleet.serving import LoraServing


def check_directory(
    directory: Path,
    *,
    lora: LoraServing | None = None,
    base: BaseModelFacts | None = None,
    leftovers: bool = False,
) -> list[Finding]:
    """Check an adapter in a directory, as `save_pretrained` wrote it, and return all that is wrong with it.

    Reads the configuration and the header of the weights, whatever the size of the adapter. Without `lora`
    there is no limit on the rank; without `base` nothing is compared with the base model. With `leftovers`,
    what a training run leaves beside an adapter may be there (`adapter_fleet.leftovers`). A bad adapter
    never raises.
    """
    where = str(directory)
    try:
        with os.scandir(directory) as found:
            files = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        message = f"it should be a readable directory, got: {error.strerror}"
        return [Finding.error("adapter-files", where, message)]
    check = _Check(where)
    for file in files:
        kind = kind_of(file)
        if leftovers and is_leftover(file.name, kind):
            continue
        if check.takes(file.name, kind):
            try:
                with Path(file).open("rb") as stream:
                    check.read(file.name, os.fstat(stream.fileno()).st_size, stream)
            except OSError as error:
                message = f"it is not readable: {error.strerror}"
                check.findings.append(Finding.error("adapter-files", check.place(file.name), message))
    return check.finish(lora, base)


def check_archive(
    archive: Path | IO[bytes],
    *,
    lora: LoraServing | None = None,
    base: BaseModelFacts | None = None,
    limits: ArchiveLimits | None = None,
    where: str | None = None,
) -> list[Finding]:
    """Check an adapter in a `.tar.gz`, by the same rules as `check_directory`.

    Reads the archive once, forwards and in bounded memory, so that an object in S3 can be checked as it is
    downloaded. `where` names it in the findings. A bad archive never raises.
    """
    if isinstance(archive, Path):
        where = where or str(archive)
        try:
            with archive.open("rb") as stream:
                return check_archive(stream, lora=lora, base=base, limits=limits, where=where)
        except OSError as error:
            message = f"it should be a readable file, got: {error.strerror}"
            return [Finding.error("archive-readable", where, message)]
    check = _Check(where or "archive")
    try:
        for entry in entries(archive, limits or ArchiveLimits(), gzip_only=True):
            if check.takes(entry.name, entry.kind) and entry.stream is not None:
                check.read(entry.name, entry.size, entry.stream)
    except ArchiveError as error:
        return [*check.findings, Finding.error("archive-readable", check.place(), str(error))]
    return check.finish(lora, base)


def kind_of(file: "os.DirEntry[str]") -> str:
    """Say in words what an entry of a directory is: a file, a folder, a link or a special file."""
    mode = file.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "special file"


class _Check:
    """One adapter: what was read of it so far, and what is wrong with that."""

    def __init__(self, where: str) -> None:
        self.findings: list[Finding] = []
        self._where = where
        self._seen: set[str] = set()
        self._config: AdapterConfig | None = None
        self._tensors: list[Tensor] | None = None

    def place(self, file: str | None = None) -> str:
        """Say where a finding is. A stranger's file name is escaped where it would spoil a log."""
        if file is None:
            return self._where
        return f"{self._where}/{file if file.isprintable() else ascii(file)}"

    def takes(self, name: str, kind: str) -> bool:
        """Apply the rules on files; tell whether this one is to be read."""
        problem = problem_of_entry(name, kind, self._seen)
        if problem is not None:
            self.findings.append(Finding.error("adapter-files", self.place(name), problem))
        self._seen.add(name)
        return problem is None

    def read(self, name: str, size: int, stream: IO[bytes]) -> None:
        """Read a file as far as the rules go."""
        if name == CONFIG_FILE:
            self._config, findings = read_config(stream.read(MAX_CONFIG_BYTES + 1), self.place(name))
            self.findings += findings
        elif name == WEIGHTS_FILE:
            try:
                self._tensors = read_tensors(stream, size)
            except HeaderError as error:
                self.findings.append(Finding.error("weights-readable", self.place(name), str(error)))

    def finish(self, lora: LoraServing | None, base: BaseModelFacts | None) -> list[Finding]:
        """Apply the rules that need the whole adapter; return all findings."""
        for name in REQUIRED_FILES:
            if name not in self._seen:
                message = f"the file {name} is missing"
                self.findings.append(Finding.error("adapter-files", self.place(), message))
        if self._config is not None:
            self.findings += self._config.findings(self.place(CONFIG_FILE), lora=lora, base=base)
        if self._tensors is not None:
            of_tensors = tensor_findings(
                self._tensors, self.place(WEIGHTS_FILE), config=self._config, base=base
            )
            self.findings += shortened(of_tensors)
        return self.findings
