"""An evaluation, or a comparison of answers, as one HTML file."""

from collections.abc import Sequence

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.result import EvaluatedItem, EvaluationResult, Subject
from adapters_cli.reports import figures, pictures, verdict
from adapters_cli.reports.figure_tables import latency_table, metric_table
from adapters_cli.reports.item_browser import item_browser, mark_legend
from adapters_cli.reports.item_view import item_view, packed
from adapters_cli.reports.markup import Markup, element, joined
from adapters_cli.reports.page import page


def html_page(result: EvaluationResult) -> str:
    """Return the report of an evaluation."""
    links = [("metrics", "Metrics"), ("distributions", "Distributions")]
    links += [("latency", "Latency")] if result.latency else []
    links += [("provenance", "Provenance"), ("items", "Items")]
    return page(
        title=f"Evaluation of {', '.join(subject.name for subject in result.subjects)}",
        kind="Evaluation report",
        links=links,
        tools=_choice(result),
        body=joined(
            _verdict(result),
            _metrics(result),
            _distributions(result),
            _latency(result) if result.latency else None,
            _provenance(result),
            item_browser(result),
        ),
        data=packed(result),
    )


def comparison_page(
    items: Sequence[EvaluatedItem], names: Sequence[str], *, made_at: str, endpoint: str, engine: str | None
) -> str:
    """Return the answers of several names to the same prompts, side by side.

    Differences are marked against the reference where an item has one, else against the first name's answer.
    """
    views = []
    for item in items:
        first = item.answers.get(names[0])
        text = first.text if first is not None and first.error is None else ""

        def other(name: str, reference: str = item.reference, text: str = text) -> str:
            return reference or ("" if name == names[0] else text)

        heading = item.id if len(items) > 1 else "Answers"
        views.append(item_view(item, names, (), heading=heading, compared_with=other))
    against = "the reference" if any(item.reference for item in items) else f"the answer of {names[0]}"
    return page(
        title=f"{', '.join(names)}: answers side by side",
        kind="Comparison of answers",
        links=[],
        tools=Markup(),
        body=joined(
            element(
                "section",
                element("h1", f"{', '.join(names)} side by side"),
                element(
                    "p",
                    f"{counted(len(items), 'prompt')}, {made_at}, endpoint {endpoint}, "
                    f"{engine or 'the engine does not name itself'}.",
                    class_="facts",
                ),
                mark_legend(against),
            ),
            element("section", *views, class_=f"card items of-{min(len(names), 4)}"),
        ),
    )


def _choice(result: EvaluationResult) -> Markup:
    if len(result.subjects) < 2:
        return Markup()
    missed = {outcome.subject for outcome in result.requirements if not outcome.met}
    missed |= {judgement.subject for judgement in result.failed_judgements}
    names = [subject.name for subject in result.subjects]
    first = next((number for number, name in enumerate(names) if name in missed), 0)
    options = (
        element("option", name, value=str(number), selected=True)
        if number == first
        else element("option", name, value=str(number))
        for number, name in enumerate(names)
    )
    return element("label", "Adapter ", element("select", *options, id="subject"))


def _verdict(result: EvaluationResult) -> Markup:
    facts = (
        f"{result.dataset.items:,} of {counted(result.dataset.available, 'item')}"
        f" of {result.dataset.source}, {result.made_at}, on {verdict.engine(result)}"
    )
    return element(
        "section",
        element(
            "h1", element("span", class_="sign", aria_hidden="true"), element("bdi", verdict.headline(result))
        ),
        element("p", facts, class_="facts"),
        _requirements(result) if result.requirements else None,
        element(
            "ul",
            *(element("li", verdict.sentence(result, subject)) for subject in result.subjects),
            *(element("li", verdict.judgement(result, found)) for found in result.judgements),
            class_="findings",
        ),
        element(
            "p",
            "Better or worse: the 95 % interval of the gain excludes zero, and chance would show such a gain "
            "in fewer than 5 of 100 runs, corrected for the number of comparisons.",
            class_="note",
        ),
        _warnings(result),
        class_=f"verdict {verdict.state(result)}",
        id="verdict",
        aria_label="Verdict",
    )


def _requirements(result: EvaluationResult) -> Markup:
    several = len(result.subjects) > 1
    lines = []
    for outcome in sorted(result.requirements, key=lambda outcome: outcome.met):
        state = "met" if outcome.met else "not met"
        lines.append(
            element(
                "li",
                element("span", state, class_="state"),
                element(
                    "span",
                    element("code", outcome.requirement),
                    f" for {outcome.subject}" if several else None,
                    ": ",
                    outcome.reason,
                ),
                class_="met" if outcome.met else "unmet",
            )
        )
    return element("ul", *lines, class_="requirements")


def _warnings(result: EvaluationResult) -> Markup | None:
    lines = verdict.warnings(result)
    if not lines:
        return None
    return element(
        "div",
        element("h2", "Before you believe it"),
        element("ul", *(element("li", line) for line in lines)),
        class_="warnings",
    )


def _metrics(result: EvaluationResult) -> Markup:
    axis = pictures.gain_axis(result.comparisons, result.metrics)
    return element(
        "section",
        element("h2", "Metrics and gains"),
        element(
            "p",
            f"Means over the items that both answered. Gain is the adapter less {result.baseline.name}, with "
            "its 95 % interval (paired bootstrap). p is that of a paired permutation test, adjusted for all "
            "comparisons (Holm). In the picture, right of the line is better.",
            class_="note",
        ),
        *(_for_subject(result, subject, metric_table(result, subject, axis)) for subject in result.subjects),
        element(
            "p",
            *(
                element(
                    "span",
                    element("span", class_=f"swatch point-{kind}", aria_hidden="true"),
                    words,
                    class_="key",
                )
                for kind, words in (
                    ("better", "better"),
                    ("worse", "worse"),
                    ("unclear", "no clear difference"),
                )
            ),
            class_="legend",
        ),
        id="metrics",
        class_="card",
    )


def _for_subject(result: EvaluationResult, subject: Subject, *content: str | None) -> Markup:
    """Return a part of the page about one subject, which is shown while that subject is chosen."""
    heading = element("h3", element("bdi", subject.name), class_="of") if len(result.subjects) > 1 else None
    return element("div", heading, *content, data_subject=str(result.subjects.index(subject)))


def _distributions(result: EvaluationResult) -> Markup:
    return element(
        "section",
        element("h2", "Distributions of scores"),
        *(_for_subject(result, subject, _distribution_grid(result, subject)) for subject in result.subjects),
        id="distributions",
        class_="card",
    )


def _distribution_grid(result: EvaluationResult, subject: Subject) -> Markup:
    base = result.baseline.name
    means = {comparison.metric: comparison for comparison in verdict.comparisons_of(result, subject)}
    found = []
    for metric in result.metrics:
        pairs = [
            (theirs, mine)
            for item in result.items
            if (theirs := item.scores.get(base, {}).get(metric.name)) is not None
            and (mine := item.scores.get(subject.name, {}).get(metric.name)) is not None
        ]
        comparison = means.get(metric.name)
        caption = (
            f": {figures.score(comparison.baseline_mean)} → {figures.score(comparison.mean)}"
            if comparison is not None
            else ""
        )
        found.append(
            element(
                "figure",
                element("figcaption", element("b", figures.short_title(metric)), caption),
                pictures.distribution(
                    metric, (base, [pair[0] for pair in pairs]), (subject.name, [pair[1] for pair in pairs])
                ),
            )
        )
    legend = pictures.legend(("base", base), ("subject", subject.name))
    return joined(
        element("p", legend, element("span", "vertical lines: means", class_="key"), class_="legend"),
        element("div", *found, class_="grid"),
    )


def _latency(result: EvaluationResult) -> Markup:
    return element(
        "section",
        element("h2", "Latency"),
        element(
            "p",
            f"From the request to the whole answer, as this run saw it, on {verdict.engine(result)}. "
            "Who writes longer answers takes longer: compare the tokens first.",
            class_="note",
        ),
        latency_table(result),
        element(
            "p",
            element("span", "● median", class_="key"),
            element("span", "◆ p90", class_="key"),
            element("span", "▮ p99", class_="key"),
            class_="legend",
        ),
        id="latency",
        class_="card",
    )


def _provenance(result: EvaluationResult) -> Markup:
    rows = (
        element("div", element("dt", name), element("dd", value))
        for name, value in verdict.provenance(result)
    )
    return element(
        "section",
        element("h2", "Provenance"),
        element("dl", *rows, class_="provenance"),
        id="provenance",
        class_="card",
    )
