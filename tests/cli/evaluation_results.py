"""Results of evaluations, as tests need them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from adapters_cli.evaluation.result import (
    Answer,
    Comparison,
    DatasetFacts,
    Decoding,
    EvaluatedItem,
    EvaluationResult,
    MetricFacts,
    RequirementOutcome,
    Subject,
)
from adapters_cli.evaluation.statistics import compare, holm
from examples.tickets.tickets import ANSWERS, draw_ticket

DATASET = "d" * 64
SECRET = "a customer's text"


def result_of(
    scores: Sequence[float | None],
    *,
    base: float = 0.2,
    metric: str = "rougeL",
    subject: str = "acme",
    identity: str = "a" * 64,
    made_at: str = "2026-03-01T09:30:00Z",
    higher_is_better: bool = True,
    requirements: Sequence[RequirementOutcome] = (),
) -> EvaluationResult:
    """Return a result with these scores of an adapter, item by item; None for an error."""
    known = [score for score in scores if score is not None]
    found = compare([base] * len(known), known, subject_name=subject, metric=metric, seed=7, resamples=999)
    # The mean of equal scores is that score, which a sum would round.
    comparison = replace(found, baseline_mean=base, mean=sum(known) / len(known))
    answers = [
        Answer(error="throttled") if score is None else Answer(text=SECRET, seconds=0.1) for score in scores
    ]
    return EvaluationResult(
        made_at=made_at,
        product_version="1.0",
        endpoint="endpoint",
        engine="numpy",
        dataset=DatasetFacts(source="tickets.jsonl", digest=DATASET, items=len(scores)),
        decoding=Decoding(max_tokens=64),
        seed=7,
        resamples=999,
        baseline=Subject(name="base", component="base"),
        subjects=[Subject(name=subject, component=f"llm-{subject}", identity=identity)],
        metrics=[MetricFacts(name=metric, title=metric, higher_is_better=higher_is_better)],
        comparisons=[comparison],
        items=[
            EvaluatedItem(
                id=f"item-{number}",
                prompt=SECRET,
                reference=SECRET,
                answers={"base": Answer(text=SECRET, seconds=0.1), subject: answer},
                scores={"base": {metric: base}} | ({} if score is None else {subject: {metric: score}}),
            )
            for number, (score, answer) in enumerate(zip(scores, answers, strict=True))
        ],
        requirements=requirements,
    )


SEED, RESAMPLES = 17, 999
METRICS = (
    MetricFacts(name="rouge1", title="ROUGE-1 (F1, Unicode words, no stemmer)"),
    MetricFacts(name="rougeL", title="ROUGE-L (F1, Unicode words, no stemmer)"),
    MetricFacts(name="meteor", title="METEOR (stemmed, without WordNet)"),
    MetricFacts(name="bert_score", title="BERTScore F1 (all-MiniLM-L6-v2, layer 5)", lowest=-1),
    MetricFacts(name="exact_match", title="Exact match"),
)

_DETAILS = (
    "The order was placed three weeks ago and the confirmation never arrived.",
    "I have already tried everything that your help page suggests.",
    "I attached the receipt and two pictures of the box.",
)
HOSTILE = """</script><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>{{7*7}}<!--"""

_SPECIAL = (
    ("hostile", HOSTILE, HOSTILE, f"<b>bold</b> {HOSTILE}", f"&lt;i&gt; {HOSTILE}"),
    (
        "arabic",
        "لخص: طلبت هاتفا من المتجر قبل ثلاثة أسابيع ولم يصل حتى الآن، وأريد استرداد المبلغ.",
        "العميل من القاهرة لم يستلم الهاتف ويريد استرداد المبلغ.",
        "شكرا لتواصلك معنا، سنرد عليك قريبا.",
        "العميل من القاهرة لم يستلم الحاسوب ويريد استرداد المبلغ.",
    ),
    ("unbroken", "a" * 400, "b" * 200, "c" * 400, "https://example.com/" + "path/" * 60),
    ("surrogate", "lone \ud800 and \x00 control \x1b[31m", "ok 👩‍🔧 ok", "👍🏽 fine", "ok 👩‍🔧 \udfff fine"),
)


def example_result(
    *,
    items: int = 1_000,
    skills: Mapping[str, float] | None = None,
    special: bool = False,
    errors: int = 0,
    requirements: Sequence[RequirementOutcome] = (),
) -> EvaluationResult:
    """Return a result whose subjects keep a share of the reference's words (`skills`)."""
    skills = {"summary": 0.82} if skills is None else skills
    source = random.Random(20)
    made = [_item(source, number, skills, special) for number in range(items)]
    for number in range(errors):
        made[7 + 11 * number] = _failed(made[7 + 11 * number], list(skills)[-1])
    return EvaluationResult(
        made_at="2026-11-26T17:20:04Z",
        product_version="0.1.0",
        endpoint="prod-llama-31-8b",
        engine="vllm 0.24.0 (CPU)",
        dataset=DatasetFacts(source="tickets/test.jsonl", digest="d" * 64, items=items),
        decoding=Decoding(max_tokens=128, stop=("\n\n",)),
        seed=SEED,
        resamples=RESAMPLES,
        baseline=Subject(name="base", component="prod-base"),
        subjects=[
            Subject(name=name, component=f"prod-{name}", artifact=f"s3://acme/{name}", identity="a" * 64)
            for name in skills
        ],
        metrics=METRICS,
        comparisons=holm([_comparison(made, name, metric.name) for name in skills for metric in METRICS]),
        items=made,
        requirements=requirements,
    )


def _item(source: random.Random, number: int, skills: Mapping[str, float], special: bool) -> EvaluatedItem:
    ticket = draw_ticket(source, held_out=False)
    details = " ".join(source.sample(_DETAILS, 2))
    prompt = f"Summarize this ticket in one sentence.\n\nHello. {ticket.complaint}. {details}\n\nSummary:"
    reference = f"{ANSWERS['summary'](ticket)} The customer {ticket.issue} and expects a reply."
    chatter = ANSWERS["base"](ticket)
    texts = {"base": chatter if source.random() < 0.4 else _forgetful(source, reference, 0.55)}
    for subject, skill in skills.items():
        texts[subject] = _forgetful(source, reference, skill)
    identity = f"ticket-{number:04}"
    if special and number < len(_SPECIAL):
        identity, prompt, reference, base, mine = _SPECIAL[number]
        texts = {"base": base, **dict.fromkeys(skills, mine)}
    return EvaluatedItem(
        id=identity,
        prompt=prompt,
        reference=reference,
        answers={who: _answer(source, text) for who, text in texts.items()},
        scores={who: _scores(reference, text) for who, text in texts.items()},
    )


def _forgetful(source: random.Random, text: str, skill: float) -> str:
    """Return a text with some words replaced; with some luck, none."""
    share = source.gauss(skill, 0.15)
    wrong = ("phone", "Berlin", "billing", "shipping", "Ines", "late", "invoice")
    return " ".join(word if source.random() < share else source.choice(wrong) for word in text.split())


def _answer(source: random.Random, text: str) -> Answer:
    tokens = max(1, len(text) // 4)
    seconds = 0.08 + tokens * source.gauss(0.011, 0.001)
    return Answer(text=text, seconds=seconds, prompt_tokens=80, completion_tokens=tokens)


def _failed(item: EvaluatedItem, who: str) -> EvaluatedItem:
    error = Answer(error="ModelError: 400: the prompt is too long", seconds=0.03)
    scores = {name: scores for name, scores in item.scores.items() if name != who}
    return replace(item, answers={**item.answers, who: error}, scores=scores)


def _scores(reference: str, text: str) -> dict[str, float]:
    theirs, mine = reference.split(), text.split()
    shared = sum(min(theirs.count(word), mine.count(word)) for word in sorted(set(mine)))
    f1 = 2 * shared / (len(theirs) + len(mine))
    similar = {"rouge1": f1, "rougeL": f1**1.2, "meteor": f1**1.5, "bert_score": 0.35 + 0.65 * f1}
    return {**similar, "exact_match": float(reference == text)}


def _comparison(items: Sequence[EvaluatedItem], name: str, metric: str) -> Comparison:
    both = [item.scores for item in items if {"base", name} <= item.scores.keys()]
    before, after = ([scores[who][metric] for scores in both] for who in ("base", name))
    return compare(before, after, subject_name=name, metric=metric, seed=SEED, resamples=RESAMPLES)


def outcome(subject: str, requirement: str, reason: str, *, met: bool) -> RequirementOutcome:
    """Return the outcome of a requirement."""
    return RequirementOutcome(subject=subject, requirement=requirement, reason=reason, met=met)
