"""The options of commands that evaluate on the way: `adapters publish` and `adapters preview`.

`adapters evaluate` has the same ones, and more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapter_fleet.evaluation.requirement import Requirement
from adapters_cli.evaluation.result import Decoding
from adapters_cli.output.errors import UsageError, option_errors

if TYPE_CHECKING:
    from adapters_cli.evaluation.dataset import Dataset
    from adapters_cli.evaluation.metrics.metric import Metric

_PANEL = "Evaluation"

EvaluateOption = Annotated[
    str | None,
    typer.Option(
        "--evaluate",
        metavar="DATASET",
        help="Ask it and the base model these items: JSONL, JSON, CSV or Parquet.",
        rich_help_panel=_PANEL,
    ),
]
RequireOption = Annotated[
    list[str] | None,
    typer.Option(
        "--require",
        metavar="RULE",
        help="What it should reach: 'rougeL >= base + 20%', 'exact_match >= 0.9'; several for more.",
        rich_help_panel=_PANEL,
    ),
]
NoWorseThanOption = Annotated[
    str | None,
    typer.Option(
        "--no-worse-than",
        metavar="last",
        help="Its scores may not be lower than those of the version before it, item by item.",
        rich_help_panel=_PANEL,
    ),
]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="METRIC",
        help="As for 'adapters evaluate'; several for more.",
        rich_help_panel=_PANEL,
    ),
]
BertModelOption = Annotated[
    Path | None,
    typer.Option(
        "--bert-model",
        metavar="DIR",
        help="The model of bert_score, as a directory.",
        rich_help_panel=_PANEL,
    ),
]
PromptColumnOption = Annotated[
    str,
    typer.Option("--prompt-column", metavar="COLUMN", help="What is asked.", rich_help_panel=_PANEL),
]
ReferenceColumnOption = Annotated[
    str,
    typer.Option("--reference-column", metavar="COLUMN", help="The right answer.", rich_help_panel=_PANEL),
]
TemplateOption = Annotated[
    str | None,
    typer.Option(
        "--template",
        metavar="TEXT",
        help="The prompt, with columns in braces: '{text}'.",
        rich_help_panel=_PANEL,
    ),
]
MessagesColumnOption = Annotated[
    str | None,
    typer.Option(
        "--messages-column",
        metavar="COLUMN",
        help="Conversations, for the container's chat template.",
        rich_help_panel=_PANEL,
    ),
]
SampleOption = Annotated[
    int | None,
    typer.Option("--sample", metavar="N", min=1, help="So many rows, at random.", rich_help_panel=_PANEL),
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed", metavar="N", min=0, help="Of sample, intervals and tests.", rich_help_panel=_PANEL
    ),
]
MaxTokensOption = Annotated[
    int,
    typer.Option(
        "--max-tokens", metavar="N", min=1, help="Longest answer, in tokens.", rich_help_panel=_PANEL
    ),
]
StopOption = Annotated[
    list[str] | None,
    typer.Option("--stop", metavar="TEXT", help="Ends an answer; several for more.", rich_help_panel=_PANEL),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--evaluation-output",
        metavar="DIR",
        help="Keep answers and reports; an interrupted run continues with them.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """What is asked in an evaluation, and what an adapter should reach."""

    dataset: "Dataset"
    metrics: "Sequence[Metric]"
    decoding: Decoding
    requirements: tuple[Requirement, ...] = ()
    no_worse_than_last: bool = False
    seed: int = 0

    @classmethod
    def of(
        cls,
        dataset: str,
        *,
        require: Sequence[str],
        no_worse_than: str | None,
        metric: Sequence[str],
        bert_model: Path | None,
        prompt_column: str,
        reference_column: str,
        template: str | None,
        messages_column: str | None,
        sample: int | None,
        seed: int,
        max_tokens: int,
        stop: Sequence[str],
    ) -> "GateOptions":
        """Read the dataset and the options. Raises UsageError for a wrong one."""
        # Imported here: NumPy takes long, and `--help` does without.
        from adapters_cli.evaluation.dataset import DatasetOptions, read_dataset
        from adapters_cli.evaluation.metrics.choose import metrics_of

        if no_worse_than not in (None, "last"):
            raise UsageError(f"'--no-worse-than' should be 'last', got {no_worse_than!r}")
        with option_errors():
            requirements = tuple(map(Requirement.parse, require))
            metrics = metrics_of(metric, bert_model=bert_model)
            for requirement in requirements:
                requirement.check_metric([one.facts.name for one in metrics])
            options = DatasetOptions(
                prompt_column=prompt_column,
                reference_column=reference_column,
                template=template,
                messages_column=messages_column,
                sample=sample,
                seed=seed,
            )
            items = read_dataset(dataset, options)
            # Before a component is created.
            for one in metrics:
                one.check([item.reference for item in items.items])
        return cls(
            dataset=items,
            metrics=metrics,
            decoding=Decoding(max_tokens=max_tokens, stop=tuple(stop)),
            requirements=requirements,
            no_worse_than_last=no_worse_than is not None,
            seed=seed,
        )
