"""The picture that `adapters capacity` draws on a terminal."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adapter_fleet.common.counts import counted
from adapter_fleet.serving.tier_counts import TierCounts
from adapters_cli.models.capacity_report import (
    INSTANCE_HEADINGS,
    CapacityReport,
    accelerators_of,
    instance_rows,
    size,
    tier_rows,
)
from adapters_cli.output.text import one_line

_NARROW = 76
"""A terminal with fewer columns has no room for tables."""
_WIDEST_BAR = 96
_LABEL = 6
_TIERS = (("█", "magenta"), ("▓", "cyan"), ("·", "yellow"))


def screen(report: CapacityReport, width: int) -> RenderableType:
    """Draw a report for a terminal of a width."""
    memory, instance = report.memory, report.sizing.instance
    parts: list[RenderableType] = [
        Text(
            one_line(f"{report.model} on {instance.name}: {accelerators_of(report.sizing)} a copy"),
            style="bold",
        ),
        Text(report.verdict, style="green" if report.fits else "red"),
        Text(),
        *_picture(report, width),
        Text(),
        _legend(report, width),
        Text(),
    ]
    if report.tiers is not None and report.adapters is not None:
        parts += [*_tier_picture(report, report.tiers, report.adapters.where, width), Text()]
    workers = counted(memory.tensor_parallel, "worker")
    parts += [
        Text(f"CPU memory of adapters: up to about {size(report.host_bytes)} in {workers} of a copy"),
        Text(),
        _instance_table(report, width),
    ]
    if report.notes:
        parts += [Text(), *(Text(f"note: {one_line(note)}", style="yellow") for note in report.notes)]
    parts += [Text(), Text("Formulas: the guide 'How much fits'", style="dim")]
    return Group(*parts)


def _picture(report: CapacityReport, width: int) -> list[Text]:
    """Draw a bar for each accelerator of an instance."""
    sizing, memory = report.sizing, report.memory
    room = max(1, min(width, _WIDEST_BAR) - _LABEL)
    used = _bar([(part.glyph, part.style, part.size) for part in report.parts], room, of=memory.total)
    here = report.placement.copies_of_an_instance
    lines = []
    for number in range(sizing.instance.accelerators):
        copy, place = divmod(number, sizing.accelerators)
        taken = copy < here and (copy + 1) * sizing.accelerators <= sizing.instance.accelerators
        line = Text(f"GPU {number}".ljust(_LABEL))
        if taken and place < memory.tensor_parallel:
            line.append_text(used)
        else:
            line.append("free", style="dim")
        lines.append(line)
    end = f"{memory.accelerator.memory_gib} GiB"
    return [*lines, Text(f"{' ' * _LABEL}0{end.rjust(room - 1)}", style="dim")]


def _bar(parts: Iterable[tuple[str, str, int]], width: int, *, of: int) -> Text:
    """Draw parts of a whole. A part above zero is at least one character wide."""
    drawn, end, begun = Text(no_wrap=True, overflow="crop"), 0, 0
    for glyph, style, amount in parts:
        end += amount
        upto = min(width, max(round(end * width / of), begun + 1)) if amount and of else begun
        drawn.append(glyph * (upto - begun), style=style)
        begun = upto
    return drawn


def _legend(report: CapacityReport, width: int) -> RenderableType:
    parallel = report.memory.tensor_parallel
    lines = [
        (part, size(part.size), size(part.size * parallel), f"{part.how} [{part.source}]")
        for part in report.parts
    ]
    missing = size(-report.memory.left) if report.memory.left < 0 else ""
    if width < _NARROW:
        texts = []
        for part, each, copy, how in lines:
            text = Text(f"{part.glyph} ", style=part.style).append(part.name, style="bold not dim")
            text.append(f" {each}" + (f" ({copy} a copy)" if parallel > 1 else ""), style="not dim default")
            texts += [text, Text(how, style="dim")]
        if missing:
            texts.append(Text(f"missing {missing}", style="red"))
        return Group(*texts)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("MEMORY", no_wrap=True)
    table.add_column("EACH", justify="right", no_wrap=True)
    table.add_column("COPY", justify="right", no_wrap=True)
    table.add_column("HOW", ratio=1, overflow="fold")
    for part, each, copy, how in lines:
        table.add_row(Text(part.glyph, style=part.style), part.name, each, copy, Text(how))
    if missing:
        table.add_row("", Text("missing", style="red"), Text(missing, style="red"), "", "")
    return table


def _tier_picture(report: CapacityReport, tiers: TierCounts, where: str, width: int) -> list[Text]:
    room = max(1, min(width, _WIDEST_BAR) - _LABEL)
    tiers_shown = tier_rows(report)
    bar = _bar(
        [(glyph, style, number) for (glyph, style), (_, number, _) in zip(_TIERS, tiers_shown, strict=True)],
        room,
        of=tiers.adapters,
    )
    legend = Text()
    for (glyph, style), (name, number, share) in zip(_TIERS, tiers_shown, strict=True):
        legend.append(f"{glyph} ", style=style).append(f"{name} {number:,} ({share})  ")
    heading = f"{counted(tiers.adapters, 'adapter')}" + (f" ({where})" if where else "")
    return [Text(one_line(heading), style="bold"), Text(" " * _LABEL).append_text(bar), legend]


def _instance_table(report: CapacityReport, width: int) -> RenderableType:
    lines = instance_rows(report)
    if width < _NARROW:
        return Group(
            *(
                Text(f"{name}: {has}").append(
                    f"\n  {tokens} tokens, {sequences} sequences, at most {most} loras", style="dim"
                )
                for name, has, tokens, sequences, most in lines
            )
        )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(INSTANCE_HEADINGS):
        table.add_column(heading, justify="left" if index < 2 else "right", no_wrap=True)
    for number, line in enumerate(lines):
        table.add_row(*line, style="" if number else "bold")
    return table
