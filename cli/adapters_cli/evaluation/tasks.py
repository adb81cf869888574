"""The tasks of one evaluation: each with its column of references, its requirements and its adapters."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adapter_fleet.common.naming import known_or_meant
from adapter_fleet.evaluation import Requirement
from adapters_cli.evaluation.dataset import DatasetOptions

# Not `rougeL =`, of which a comparison with a space or a sign follows.
_NAME = re.compile(r"[A-Za-z0-9-]+")
_COLON = re.compile(rf"\s*({_NAME.pattern}):\s+(.+)")
_OF_BENCHMARK = re.compile(r"\s*(\w+_)?(latency|throughput|error_rate|time_to_first_token)\b")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is right for one adapter, or for all that have no task of their own.

    adapter:
        None for the task that adapters share.
    """

    adapter: str | None
    options: DatasetOptions
    requirements: Sequence[Requirement]


def tasks_of(columns: Sequence[str], requirements: Sequence[str], *, template: str | None) -> list[Task]:
    """Read options like `COLUMN` or `NAME=COLUMN`, and `RULE` or `NAME=RULE`; the shared task comes first.

    A requirement without a name is for every task. Raises ValueError for two columns of one task.
    """
    shared = [column for column in columns if "=" not in column]
    pairs = [each.partition("=") for each in columns if "=" in each]
    own = [(name.strip(), column.strip()) for name, _, column in pairs]
    if any(not name or not column for name, column in own):
        raise ValueError(f"'--reference-column' should be COLUMN or NAME=COLUMN, got {columns}")
    by_name = dict(own)
    if len(shared) > 1 or len(by_name) < len(own):
        raise ValueError(f"'--reference-column' should name one column for each adapter, got {columns}")
    rules: dict[str | None, list[Requirement]] = {None: [], **{name: [] for name in by_name}}
    for text in requirements:
        name, _, rule = text.partition("=")
        if name.strip() in by_name:
            rules[name.strip()].append(Requirement.parse(rule))
        elif rule and _NAME.fullmatch(name):
            raise ValueError(
                f"'--require' should name an adapter with a '--reference-column' of its own"
                f" ({known_or_meant(name, list(by_name))}), got {name!r}"
            )
        else:
            rules[None].append(_shared_requirement(text, by_name))
    return [
        Task(
            adapter=name,
            options=DatasetOptions(
                reference_column=column, template=template, only_with_reference=name is not None
            ),
            requirements=rules[None] if name is None else [*rules[None], *rules[name]],
        )
        for name, column in ((None, (shared or ["reference"])[0]), *by_name.items())
    ]


def _shared_requirement(text: str, named: Collection[str]) -> Requirement:
    if _OF_BENCHMARK.match(text):
        raise ValueError(
            f"'--require' should be about scores, got {text!r}; times are for `adapters benchmark --require`"
        )
    if colon := _COLON.fullmatch(text):
        name, rule = colon.groups()
        meant = f"'{name}={rule}'" if name in named else f"'{rule}', which is for every adapter"
        raise ValueError(f"'--require' should be RULE or NAME=RULE, got {text!r}; write {meant}")
    return Requirement.parse(text)


def check_adapters(tasks: Sequence[Task], known: Collection[str]) -> None:
    """Raise ValueError for a task of an adapter that is not evaluated."""
    for task in tasks:
        if task.adapter is not None and task.adapter not in known:
            raise ValueError(
                f"'--reference-column' should name an adapter of the evaluation"
                f" ({known_or_meant(task.adapter, list(known))}), got {task.adapter!r}"
            )
