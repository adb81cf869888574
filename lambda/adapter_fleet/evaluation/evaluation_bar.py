"""The bar of a fleet: what the recorded evaluation of a version should reach."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from adapter_fleet.common.archive_names import DIGEST
from adapter_fleet.common.naming import is_same_model
from adapter_fleet.evaluation.evaluation_record import EvaluationRecord
from adapter_fleet.evaluation.requirement import Requirement


@dataclass(frozen=True, kw_only=True)
class EvaluationBar:
    """What the recorded evaluation of a version should reach before the fleet takes it.

    requirements:
        As `Requirement.parse` reads them.
    dataset:
        Digest of the items, in hexadecimal; None for any.
    exempt:
        Names of adapters that need no evaluation.
    bases:
        The names of the base model and of its component, one of which a record should have; empty for any.
    """

    requirements: tuple[str, ...]
    dataset: str | None = None
    exempt: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.requirements:
            raise ValueError("'evaluation' should have one requirement or more, got none")
        if self.dataset is not None and not DIGEST.fullmatch(self.dataset):
            raise ValueError(f"'dataset' should be 'sha256:' and 64 hexadecimal digits, got {self.dataset!r}")
        self.parsed  # noqa: B018 - a wrong requirement is an error at once

    @cached_property
    def parsed(self) -> list[Requirement]:
        """The requirements. Raises ValueError for a wrong one."""
        return [Requirement.parse(text) for text in self.requirements]

    def is_exempt(self, adapter: str) -> bool:
        """Return True if an adapter needs no evaluation."""
        return adapter.casefold() in {name.casefold() for name in self.exempt}

    def problems(self, record: EvaluationRecord | None, *, adapter: str) -> Iterator[tuple[str, str]]:
        """Find why a version does not reach the bar: the key of its record, or '', and the problem."""
        if record is None:
            asked = " and ".join(f"'{requirement}'" for requirement in self.parsed)
            yield "", f"should be recorded, as the fleet requires {asked}, got nothing"
            return
        if record.base is None or record.decoding is None:
            again = "evaluate this version again, as its record is of an earlier release"
            yield "base", f"should be recorded, with the decoding; {again}, got nothing"
        elif self.bases and not any(is_same_model(record.base, base) for base in self.bases):
            known = " or ".join(map(repr, self.bases))
            yield "base", f"should be {known}; evaluate this version beside it, got {record.base!r}"
        if self.dataset is not None and record.dataset != self.dataset:
            yield "dataset", f"should be sha256:{self.dataset}, got sha256:{record.dataset}"
        for requirement in self.parsed:
            met, reason = requirement.judge(record.means, subject=adapter)
            if not met:
                yield "figures", reason
