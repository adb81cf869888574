"""An item with its answers, as HTML and as data for the page's script."""

import base64
import json
import zlib
from collections.abc import Callable, Sequence

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.differences import differences
from adapters_cli.evaluation.result import Answer, EvaluatedItem, EvaluationResult, MetricFacts
from adapters_cli.reports import figures
from adapters_cli.reports.item_ranking import changed_sides, gain, scale
from adapters_cli.reports.markup import Markup, clean, element, joined
from adapters_cli.reports.verdict import everyone

_LONGEST = 1_200
"""A longer text is cut where it does not open."""


def packed(result: EvaluationResult) -> str:
    """Return all items as JSON, compressed and in base64, for `page.js`.

    The marks of a text are the lengths of its pieces in turn (same, missing, added), in the units of
    JavaScript's strings: UTF-16.
    """
    names = [subject.name for subject in everyone(result)]
    document = {
        "names": names,
        "metrics": [
            {
                "title": figures.short_title(metric),
                "sign": 1 if metric.higher_is_better else -1,
                "scale": scale(metric),
            }
            for metric in result.metrics
        ],
        "texts": has_texts(result),
        "items": [_item_data(item, names, result) for item in result.items],
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def has_texts(result: EvaluationResult) -> bool:
    """Return False if nothing but scores and times was kept of a result."""
    return any(item.prompt or item.reference for item in result.items)


def _item_data(item: EvaluatedItem, names: Sequence[str], result: EvaluationResult) -> list[object]:
    metrics = result.metrics
    reference, baseline = clean(item.reference), names[0]
    first = _text_of(item, baseline)
    answers: list[object] = []
    for name in names:
        answer = item.answers.get(name, Answer())
        scores = item.scores.get(name, {})
        found = gain(item, name, baseline, metrics) if name != baseline else None
        text = _text_of(item, name)
        answers.append(
            [
                text,
                None if answer.error is None else clean(answer.error),
                None if answer.seconds is None else round(answer.seconds, 4),
                answer.completion_tokens,
                [_rounded(scores.get(metric.name)) for metric in metrics],
                _rounded(found),
                changed_sides(item, name, baseline, metrics) if name != baseline else [],
                _marks(reference, text) if reference else [],
                _marks(first, text) if name != baseline else [],
                [
                    f"{clean(found.judge)}: {found.verdicts[item.id]}"
                    for found in result.judgements
                    if found.subject == name and item.id in found.verdicts
                ],
            ]
        )
    return [clean(item.id), clean(item.prompt), reference, answers]


def _text_of(item: EvaluatedItem, name: str) -> str:
    answer = item.answers.get(name)
    return clean(answer.text) if answer is not None and answer.error is None else ""


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _marks(of: str, text: str) -> list[int]:
    if of == text:
        return [_units(text)]
    lengths = [0]
    order = ("same", "removed", "added")
    for piece in differences(of, text):
        while (len(lengths) - 1) % 3 != order.index(piece.kind):
            lengths.append(0)
        lengths[-1] = _units(piece.text)
        lengths.append(0)
    return lengths[:-1]


def _units(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def item_view(
    item: EvaluatedItem,
    names: Sequence[str],
    metrics: Sequence[MetricFacts],
    *,
    heading: str,
    compared_with: Callable[[str], str] | None = None,
) -> Markup:
    """Return an item: prompt, reference, and the answers of `names` with their differences marked.

    compared_with:
        Returns the text that the answer of a name is compared with; the reference by default.
    """
    answers = [
        _answer_view(
            item, name, item.reference if compared_with is None else compared_with(name), first=not number
        )
        for number, name in enumerate(names)
    ]
    return element(
        "article",
        element("h3", heading),
        element(
            "div",
            element(
                "div",
                _text_block("Prompt", _cut(item.prompt)),
                _text_block("Reference", _cut(item.reference), kind="reference") if item.reference else None,
                class_="asked",
            ),
            *answers,
            _score_table(item, names, metrics) if metrics else None,
            class_="texts",
        ),
        class_="item",
    )


def _answer_view(item: EvaluatedItem, name: str, other: str, *, first: bool) -> Markup:
    answer = item.answers.get(name, Answer(error="was not asked"))
    kind = "base" if first else "subject"
    if answer.error is not None:
        return _text_block(name, answer.error, kind=f"{kind} error", note="error")
    facts = [figures.seconds(answer.seconds)] if answer.seconds is not None else []
    if answer.completion_tokens is not None:
        facts.append(counted(answer.completion_tokens, "token"))
    marked = marked_text(other, answer.text) if other and len(answer.text) <= _LONGEST else _cut(answer.text)
    return _text_block(name, marked or "(an empty answer)", kind=kind, note=", ".join(facts))


def marked_text(other: str, text: str) -> Markup:
    """Return a text with the words marked that another does not have, and those that are missing."""
    tags = {"added": "ins", "removed": "del"}
    return joined(
        *(
            element(tags[piece.kind], piece.text) if piece.kind in tags else piece.text
            for piece in differences(other, text)
        )
    )


def _text_block(title: str, text: str, *, kind: str = "", note: str = "") -> Markup:
    heading = element("h4", element("bdi", title), element("span", note, class_="note") if note else None)
    return element(
        "div", heading, element("p", text, dir="auto", class_="text"), class_=f"block {kind}".strip()
    )


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST].rstrip()} … ({len(text):,} characters)"


def _score_table(item: EvaluatedItem, names: Sequence[str], metrics: Sequence[MetricFacts]) -> Markup:
    rows = []
    for metric in metrics:
        found = [item.scores.get(name, {}).get(metric.name) for name in names]
        cells = (element("td", figures.NONE if value is None else figures.score(value)) for value in found)
        rows.append(element("tr", element("th", figures.short_title(metric), scope="row"), *cells))
    head = element("tr", element("td"), *(element("th", element("bdi", name), scope="col") for name in names))
    return element("table", element("thead", head), element("tbody", *rows), class_="scores")
