"""The part of the page in which a reader finds items."""

from collections.abc import Sequence

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.result import EvaluationResult, Subject
from adapters_cli.reports import figures
from adapters_cli.reports.item_ranking import worst_first
from adapters_cli.reports.item_view import has_texts, item_view
from adapters_cli.reports.markup import Markup, element

_NO_TEXTS = "This result was kept without prompts, references and answers: each item has only its scores."
_WORST = 20
"""Items that the page shows on paper and without JavaScript."""


def item_browser(result: EvaluationResult) -> Markup:
    """Return the controls and an empty list, which `page.js` fills, and the worst items, for paper."""
    return element(
        "section",
        element("h2", "Items"),
        element(
            "noscript",
            element(
                "p",
                "The browser of all items needs JavaScript. Below are the worst ones.",
                class_="note",
            ),
        ),
        mark_legend("the reference") if has_texts(result) else element("p", _NO_TEXTS, class_="note"),
        element(
            "div",
            _controls(result),
            element("div", id="list", class_="items"),
            _pager(),
            class_="js",
            id="browser",
        ),
        *(_worst_items(result, subject) for subject in result.subjects if has_texts(result)),
        id="items",
        class_="card",
    )


def mark_legend(against: str) -> Markup:
    """Say what the marks in a text mean."""
    return element(
        "p",
        element(
            "span",
            element("ins", "marked"),
            " not in ",
            element("span", against, class_="against"),
            class_="key",
        ),
        element("span", element("del", "struck through"), " missing from the answer", class_="key missing"),
        class_="legend marks",
    )


def _controls(result: EvaluationResult) -> Markup:
    base = result.baseline.name
    metrics = [("all", "All metrics")]
    metrics += [(str(number), figures.short_title(metric)) for number, metric in enumerate(result.metrics)]
    return element(
        "form",
        element(
            "label",
            "Search",
            element(
                "input",
                type="search",
                id="search",
                autocomplete="off",
                placeholder="any words",
            ),
        ),
        _select(
            "Order",
            "order",
            [
                ("worst", "Worst first"),
                ("best", "Best first"),
                ("lowest", "Lowest score"),
                ("highest", "Highest score"),
                ("slowest", "Slowest"),
                ("dataset", "Dataset order"),
            ],
        ),
        _select("By", "metric", metrics),
        _select(
            "Show",
            "show",
            [
                ("all", "All items"),
                ("worse", f"Worse than {base}"),
                ("better", f"Better than {base}"),
                ("sides", "Changed sides"),
                ("errors", "Errors"),
            ],
        ),
        _select(
            "Compare with",
            "against",
            [
                ("reference", "the reference"),
                ("base", f"the answer of {base}"),
                ("nothing", "nothing"),
            ],
        ),
        element(
            "label",
            element("input", type="checkbox", id="missing"),
            " Missing words",
            class_="check",
        ),
        class_="controls",
        id="controls",
        role="search",
    )


def _select(title: str, name: str, options: Sequence[tuple[str, str]]) -> Markup:
    made = (element("option", words, value=value) for value, words in options)
    return element("label", title, element("select", *made, id=name))


def _pager() -> Markup:
    return element(
        "div",
        element("button", "Previous", type="button", id="previous"),
        element("output", id="count", aria_live="polite", for_="controls"),
        element("button", "Next", type="button", id="next"),
        class_="pager",
    )


def _worst_items(result: EvaluationResult, subject: Subject) -> Markup:
    names = [result.baseline.name, subject.name]
    items = worst_first(result, subject)[:_WORST]
    return element(
        "div",
        element(
            "h3", f"The {counted(len(items), 'item')} that ", element("bdi", subject.name), " answered worst"
        ),
        *(
            item_view(item, names, result.metrics, heading=f"{number}. {item.id}")
            for number, item in enumerate(items, start=1)
        ),
        data_subject=str(result.subjects.index(subject)),
        class_="items worst",
    )
