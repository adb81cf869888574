"""A realistic result of an evaluation, made from invented support tickets."""

import hashlib
import math
import random
import statistics
from collections.abc import Mapping, Sequence

from adapters_cli.evaluation.result import (
    Answer,
    Comparison,
    DatasetFacts,
    Decoding,
    EvaluatedItem,
    EvaluationResult,
    Interval,
    Latency,
    MetricFacts,
    RequirementOutcome,
    Subject,
)
from examples.tickets.tickets import CITIES, ISSUES, NAMES, PRODUCTS

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
    "My colleague had the same trouble last month and it was never solved.",
    "Please answer before Friday, because I am travelling after that.",
    "I attached the receipt and two pictures of the box.",
    "The tracking number that you sent me does not exist.",
)
_CHATTER = (
    "Thank you for reaching out to us about the {product}. We are sorry to hear about it and will look into "
    "the matter as soon as we can.",
    "Dear {name}, we have received your message. A member of our team will get back to you within two days.",
    "The customer {name} wrote about a {product}. It is not clear what the customer would like us to do.",
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
    (
        "japanese",
        "要約してください: 三週間前に注文したヘッドセットがまだ届きません。返金をお願いします。",
        "大阪のお客様はヘッドセットが届かず、返金を希望しています。",
        "お問い合わせありがとうございます。担当者よりご連絡いたします。",
        "大阪のお客様はプリンターが届かず、交換を希望しています。",
    ),
    (
        "very-long",
        "Summarize the log. " + "The printer reported error 0x80070005 at step 12. " * 60,
        "The printer reports an access error.",
        "The printer reported error 0x80070005. " * 150,
        "The printer reports an access error. " * 20,
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
    engine: str | None = "vllm 0.24.0 (CPU)",
    warning: str | None = None,
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
        engine=engine,
        dataset=DatasetFacts(
            source="tickets/test.jsonl",
            digest=hashlib.sha256(str(items).encode()).hexdigest(),
            items=items,
        ),
        decoding=Decoding(max_tokens=128, stop=("\n\n",)),
        seed=17,
        resamples=9_999,
        baseline=Subject(name="base", component="prod-llama-31-8b-base"),
        subjects=[
            Subject(
                name=name,
                component=f"prod-llama-31-8b-{name}",
                artifact=f"s3://acme-models/adapters/{name}/sha256-{_digest(name)[:12]}.tar.gz",
                identity=_digest(name),
            )
            for name in skills
        ],
        metrics=METRICS,
        comparisons=[_comparison(made, name, metric, warning) for name in skills for metric in METRICS],
        latency=[_latency(made, name) for name in ("base", *skills)],
        items=made,
        requirements=requirements,
    )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _item(source: random.Random, number: int, skills: Mapping[str, float], special: bool) -> EvaluatedItem:
    name, city, product = source.choice(NAMES), source.choice(CITIES), source.choice(PRODUCTS)
    category = source.choice(list(ISSUES))
    issue = source.choice(ISSUES[category]).format(product=product)
    details = " ".join(source.sample(_DETAILS, 2))
    prompt = (
        f"Summarize this ticket in one sentence.\n\nHello. {name} from {city} {issue}. {details}\n\nSummary:"
    )
    reference = (
        f"Customer {name} from {city} has a {category} problem with the {product}: the customer {issue} "
        "and expects a reply."
    )
    chatter = source.choice(_CHATTER).format(product=product, name=name)
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
        answers={who: _answer(source, text, who) for who, text in texts.items()},
        scores={who: _scores(reference, text) for who, text in texts.items()},
    )


def _forgetful(source: random.Random, text: str, skill: float) -> str:
    """Return a text with some words replaced; with some luck, none."""
    share = min(1.0, max(0.0, source.gauss(skill, 0.15)))
    wrong = ("phone", "Berlin", "billing", "shipping", "Ines", "late", "invoice")
    return " ".join(word if source.random() < share else source.choice(wrong) for word in text.split())


def _answer(source: random.Random, text: str, who: str) -> Answer:
    tokens = max(1, len(text) // 4)
    seconds = 0.08 + tokens * source.gauss(0.011, 0.001) * (1.05 if who != "base" else 1)
    return Answer(
        text=text,
        seconds=seconds * (3 if source.random() < 0.02 else 1),
        prompt_tokens=80,
        completion_tokens=tokens,
    )


def _failed(item: EvaluatedItem, who: str) -> EvaluatedItem:
    error = Answer(
        error="ModelError: 400: the prompt has 9,312 tokens, and the model takes 8,192", seconds=0.03
    )
    return EvaluatedItem(
        id=item.id,
        prompt=item.prompt,
        reference=item.reference,
        answers={**item.answers, who: error},
        scores={name: scores for name, scores in item.scores.items() if name != who},
    )


def _scores(reference: str, text: str) -> dict[str, float]:
    theirs, mine = reference.split(), text.split()
    shared = sum(min(theirs.count(word), mine.count(word)) for word in sorted(set(mine)))
    f1 = 2 * shared / (len(theirs) + len(mine))
    return {
        "rouge1": f1,
        "rougeL": f1**1.2,
        "meteor": f1**1.5,
        "bert_score": 0.35 + 0.65 * f1,
        "exact_match": float(reference == text),
    }


def _comparison(
    items: Sequence[EvaluatedItem], name: str, metric: MetricFacts, warning: str | None
) -> Comparison:
    pairs = [
        (item.scores["base"][metric.name], item.scores[name][metric.name])
        for item in items
        if "base" in item.scores and name in item.scores
    ]
    differences = [mine - theirs for theirs, mine in pairs]
    mean, base = statistics.fmean(pair[1] for pair in pairs), statistics.fmean(pair[0] for pair in pairs)
    error = 1.96 * (statistics.stdev(differences) if len(pairs) > 1 else 0) / math.sqrt(len(pairs))
    difference = mean - base
    interval = Interval(low=difference - error, high=difference + error)
    unclear = interval.low <= 0 <= interval.high
    return Comparison(
        subject=name,
        metric=metric.name,
        items=len(pairs),
        baseline_mean=base,
        mean=mean,
        difference=difference,
        interval=interval,
        relative=difference / base if base else None,
        relative_interval=Interval(low=interval.low / base, high=interval.high / base) if base else None,
        p_value=0.4 if unclear else 0.0001,
        p_adjusted=0.8 if unclear else 0.0005,
        better=sum(difference > 0 for difference in differences),
        worse=sum(difference < 0 for difference in differences),
        equal=sum(difference == 0 for difference in differences),
        warnings=(
            *((warning,) if warning else ()),
            *(("the 95 % interval includes zero: this may be chance",) if unclear else ()),
        ),
    )


def _latency(items: Sequence[EvaluatedItem], name: str) -> Latency:
    answers = [item.answers[name] for item in items]
    times = sorted(answer.seconds or 0 for answer in answers if answer.error is None)
    median = statistics.median(times)
    base = statistics.median(item.answers["base"].seconds or 0 for item in items)
    quotient = None if name == "base" else median / base
    return Latency(
        subject=name,
        answers=len(times),
        errors=len(answers) - len(times),
        p50=median,
        p90=times[int(0.9 * (len(times) - 1))],
        p99=times[int(0.99 * (len(times) - 1))],
        mean_completion_tokens=statistics.fmean(
            answer.completion_tokens for answer in answers if answer.completion_tokens is not None
        ),
        ratio=quotient,
        ratio_interval=None if quotient is None else Interval(low=quotient - 0.03, high=quotient + 0.03),
    )


def outcome(subject: str, requirement: str, reason: str, *, met: bool) -> RequirementOutcome:
    """Return the outcome of a requirement."""
    return RequirementOutcome(subject=subject, requirement=requirement, reason=reason, met=met)
