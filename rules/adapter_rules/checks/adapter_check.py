"""Checks an adapter before anything is created: its files, its configuration and its tensors.

`requirements_and_remedies` has the rules. The engine applies most of them when it loads the adapter, minutes
after a deployment began. It does not apply those that compare an adapter with the base model.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from adapter_fleet.artifacts.archive import CONFIG_FILE, REQUIRED_FILES, WEIGHTS_FILE, ArchiveError
from adapter_fleet.artifacts.decompressing_reader import MAX_ENTRIES, Readable
from adapter_fleet.artifacts.foreign_content import UTF8_MARK, foreign_folder, misnamed
from adapter_fleet.artifacts.tar import entries
from adapter_fleet.common.findings import Finding, shortened
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.checks.config_check import MAX_CONFIG_BYTES, AdapterConfig, read_config
from adapter_rules.checks.file_check import problem_of_entry
from adapter_rules.checks.finite_weights import read_numbers
from adapter_rules.checks.folder_entry import is_leftover, kind_of
from adapter_rules.checks.requirements_and_remedies import RULES, CheckRule
from adapter_rules.checks.safetensors_header import HeaderError, Tensor, read_tensors
from adapter_rules.checks.tensor_check import not_compared, tensor_findings
from adapter_rules.engines.container_releases import NEWEST_LMI, ContainerRelease
from adapter_rules.engines.lora_limits import LoraServing

_MAX_NAME_LENGTH = 100


def examine(
    path: Path,
    *,
    lora: LoraServing | None = None,
    base: BaseModelFacts | None = None,
    version: ContainerRelease | None = None,
    watch: Callable[[bytes], object] | None = None,
) -> "AdapterCheck":
    """Check an adapter in a directory, as `save_pretrained` wrote it, or in a `.tar.gz`.

    An archive is read in one pass and in bounded memory, and `watch` gets every byte of its tar. A directory
    may also hold the files that a training run leaves beside an adapter (`folder_entry.is_leftover`).
    Without `lora` the rank limit is that of `version`. Without `base` nothing is compared with the base
    model. Without `version` the newest engine's rules apply. A bad adapter raises nothing.
    """
    check = AdapterCheck(str(path), lora=lora, base=base, version=version)
    if path.is_dir():
        _check_directory(check, path)
    # Opening a pipe would wait for a writer.
    elif path.exists() and not path.is_file():
        check.add(CheckRule.PATH_READABLE, "it should be a readable file, got no regular file")
    else:
        try:
            with path.open("rb", buffering=0) as stream:
                check.check_archive(stream, watch)
        except OSError as error:
            check.add(CheckRule.PATH_READABLE, f"it should be a readable file, got: {error.strerror}")
    return check


def _check_directory(check: "AdapterCheck", directory: Path) -> None:
    names: set[str] = set()
    try:
        with os.scandir(directory) as found:
            files = sorted(
                islice(_not_leftovers(found, names), MAX_ENTRIES + 1), key=lambda entry: entry.name
            )
    except OSError as error:
        check.add(CheckRule.PATH_READABLE, f"it should be a readable directory, got: {error.strerror}")
        return
    if (foreign := foreign_folder(names)) is not None:
        check.add(CheckRule.FILE_CONTENT, foreign)
        return
    if len(files) > MAX_ENTRIES:
        check.add(CheckRule.FILE_UNEXPECTED, f"it should have at most {MAX_ENTRIES} entries")
        return
    for file in files:
        try:
            if check.accepts(file.name, kind_of(file)):
                with Path(file).open("rb") as stream:
                    # `packing` leaves the mark out.
                    if file.name == CONFIG_FILE and stream.read(len(UTF8_MARK)) != UTF8_MARK:
                        stream.seek(0)
                    check.read(file.name, os.fstat(stream.fileno()).st_size, stream)
        except OSError as error:
            check.add(CheckRule.PATH_READABLE, f"it is not readable: {error.strerror}", file.name)
    check.finish()


def _not_leftovers(found: Iterable["os.DirEntry[str]"], names: set[str]) -> Iterator["os.DirEntry[str]"]:
    """Yield the entries that are no leftovers, and add the names of all."""
    for file in found:
        names.add(file.name)
        if not is_leftover(file.name, kind_of(file)):
            yield file


class AdapterCheck:
    """A check of one adapter: the parts read so far, and the findings on them.

    config:
        The configuration; None if it cannot be read.
    """

    def __init__(
        self,
        where: str,
        *,
        lora: LoraServing | None = None,
        base: BaseModelFacts | None = None,
        version: ContainerRelease | None = None,
        reads_weights: bool = True,
    ) -> None:
        """Start a check. Without `reads_weights` it looks at no numbers."""
        self.findings: list[Finding] = []
        self.config: AdapterConfig | None = None
        self._reads_weights = reads_weights
        self._of_weights: list[Finding] = []
        self._where = where
        self._lora, self._base, self._version = lora, base, version or NEWEST_LMI
        self._seen: set[str] = set()
        self._tensors: list[Tensor] | None = None

    def add(self, rule: CheckRule, message: str, file: str | None = None) -> None:
        """Add a finding on the adapter or one of its files."""
        self.findings.append(rule.finding(self._place(file), message))

    def _place(self, file: str | None = None) -> str:
        """Return the place of a finding. An untrusted file name is escaped if it is not printable."""
        if file is None:
            return self._where
        name = file if file.isprintable() else ascii(file)
        return f"{self._where}/{name if len(name) <= _MAX_NAME_LENGTH else name[:_MAX_NAME_LENGTH] + '…'}"

    def accepts(self, name: str, kind: str) -> bool:
        """Apply the rules on files; tell whether to read this one."""
        problem = problem_of_entry(name, kind, self._seen)
        if problem is not None:
            self.add(*problem, name)
        self._seen.add(name)
        return problem is None

    def read(self, name: str, size: int, stream: Readable) -> None:
        """Read the parts of a file that the rules need."""
        if name == CONFIG_FILE:
            text = stream.read(MAX_CONFIG_BYTES + 1)
            self.config, findings = read_config(text, self._place(name), version=self._version)
            self.findings += findings
        elif name == WEIGHTS_FILE:
            try:
                self._tensors = read_tensors(stream, size)
            except HeaderError as error:
                self.add(error.rule, str(error), name)
            else:
                if self._reads_weights:
                    self._read_weights(name, self._tensors, stream)

    def _read_weights(self, name: str, tensors: list[Tensor], stream: Readable) -> None:
        read = list(read_numbers(stream, tensors))
        self._of_weights = shortened(
            CheckRule.TENSOR_FINITE.finding(
                self._place(name),
                f"tensor {one.tensor.name!r:.200} should have finite numbers, got NaN or infinity",
            )
            for one in read
            if not one.finite
        )
        # PEFT begins with B as zeros, so that an adapter changes nothing before its first step.
        of_b = [
            one.zero for one in read if one.tensor.size and re.search("lora_(embedding_)?B", one.tensor.name)
        ]
        if of_b and all(of_b):
            self._of_weights.append(
                CheckRule.TENSOR_TRAINED.finding(
                    self._place(name), "every matrix B is zero, so that the adapter changes nothing"
                )
            )

    def check_archive(self, archive: Readable, watch: Callable[[bytes], object] | None = None) -> bool:
        """Read an archive and apply all rules; return True if it could be read to its end.

        The errors of `archive` and of `watch` are passed on.
        """
        try:
            for entry in entries(archive, watch=watch):
                if self.accepts(entry.name, entry.kind) and entry.stream is not None:
                    self.read(entry.name, entry.size, entry.stream)
        except ArchiveError as error:
            self.findings = [*shortened(self.findings), *self._of_weights]
            self.add(RULES[error.fault], str(error))
            return False
        self.finish()
        return True

    def finish(self) -> None:
        """Apply the rules that need the whole adapter."""
        self.findings = shortened(self.findings)  # a folder packed by mistake has many
        in_folders = {PurePosixPath(name).name for name in self._seen}
        if (foreign := foreign_folder(in_folders)) is not None:
            self.findings = [one for one in self.findings if one.rule == CheckRule.FILE_PATH.id]
            self.add(CheckRule.FILE_CONTENT, foreign)
            return
        for name in REQUIRED_FILES:
            if name not in in_folders:
                meant = next((f"; rename {other!r}" for other in self._seen if misnamed(other) == name), "")
                self.add(CheckRule.FILE_MISSING, f"the file {name} is missing{meant}")
        if self.config is not None:
            self.findings += self.config.findings(self._place(CONFIG_FILE), lora=self._lora, base=self._base)
        # The tensors of another method than LoRA have other names.
        other_method = self.config is None and any(
            one.rule == CheckRule.LORA_METHOD.id for one in self.findings
        )
        if self._tensors is not None and not other_method:
            of_tensors = tensor_findings(
                self._tensors,
                self._place(WEIGHTS_FILE),
                config=self.config,
                base=self._base,
                version=self._version,
            )
            self.findings += shortened(of_tensors) + self._of_weights
            self.findings += not_compared(self._tensors, self._place(WEIGHTS_FILE), self._base)
