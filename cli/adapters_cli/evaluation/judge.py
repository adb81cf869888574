"""A language model as a judge of two answers, in both orders.

A judge prefers the answer that it reads first more often than chance (https://arxiv.org/abs/2306.05685). So
each pair is judged in both orders, and counts as equal if the orders disagree.
"""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from adapters_cli.aws.account import Account
from adapters_cli.aws.generation import Generation, GenerationRequest, generation_of
from adapters_cli.aws.runtime_endpoint import InvocationError, UnaskedError, invocation_error
from adapters_cli.evaluation.answer_log import LOG_FILE, AnswerLog, Question
from adapters_cli.evaluation.dataset import Item
from adapters_cli.evaluation.result import Answer, Judgement
from adapters_cli.evaluation.runner import Ask

KEY_VARIABLE = "ADAPTERS_JUDGE_API_KEY"
"""The environment variable with the key of an OpenAI-compatible API. Bedrock uses the AWS credentials."""

_BEDROCK = "bedrock:"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MAX_TOKENS = 1024
_MOST_REASONS = 3
_CONNECT_SECONDS = 10
_TIMEOUT_SECONDS = 300
_TEMPORARY_STATUSES = (408, 409, 425, 429, 500, 502, 503, 504)

_SYSTEM = (
    "You compare two answers to the same request. Judge how correct, complete and useful each answer is, and"
    " whether it has the form that the request and the reference ask for. Neither the order nor the length of"
    " the answers counts. Give a short reason. Then end with your verdict alone on the last line: [[A]] if"
    " answer A is better, [[B]] if answer B is better, [[TIE]] if they are equally good."
)
_Verdicts = tuple[str | None, str | None]
_WORDS: Mapping[_Verdicts, str] = {("A", "A"): "worse", ("B", "B"): "better"}
"""What both orders say together, of the baseline A and the subject B."""

_VERDICT = re.compile(r"\[\[(A|B|TIE)\]\]")


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A model that judges.

    name:
        As the user named it.
    ask:
        Asks the model. Raises InvocationError.
    """

    name: str
    ask: Ask

    def questions(
        self, items: Sequence[Item], baseline: Mapping[str, Answer], subject: Mapping[str, Answer]
    ) -> list[Question]:
        """Return what to ask about the items that both answered, in both orders. Same answers are equal."""
        return [
            question
            for item in items
            if _differ(baseline[item.id], subject[item.id])
            for question in self._both_orders(item, baseline[item.id].text, subject[item.id].text)
        ]

    def judgement(
        self,
        subject_name: str,
        items: Sequence[Item],
        baseline: Mapping[str, Answer],
        subject: Mapping[str, Answer],
        log: AnswerLog,
        *,
        end: str | None = None,
    ) -> Judgement:
        """Count the verdicts in the log. `end` is why the judge was not asked the rest."""
        answered = [
            item for item in items if baseline[item.id].error is None and subject[item.id].error is None
        ]
        found = {item.id: self._verdicts(item, baseline[item.id], subject[item.id], log) for item in answered}
        clear = {item: pair for item, pair in found.items() if None not in pair}
        verdicts = {item: _WORDS.get(pair, "equal") for item, pair in clear.items()}
        counts = Counter(verdicts.values())
        questions = self.questions(items, baseline, subject)
        reasons = dict.fromkeys(filter(None, (_no_verdict(log, question) for question in questions)))
        unclear = len(found) - len(clear)
        judged = any(_verdict(log, question) for question in questions)
        return Judgement(
            judge=self.name,
            subject=subject_name,
            better=counts["better"],
            worse=counts["worse"],
            equal=counts["equal"],
            disagreements=sum(first != second for first, second in clear.values()),
            unclear=unclear,
            p_value=sign_test(counts["better"], counts["worse"]),
            verdicts=verdicts,
            failed=unclear > 0 and (end is not None or not judged),
            reasons=tuple(reasons)[:_MOST_REASONS] or (() if end is None or not unclear else (end,)),
        )

    def _verdicts(self, item: Item, baseline: Answer, subject: Answer, log: AnswerLog) -> _Verdicts:
        """Return the verdicts of both orders: A for the baseline, B for the subject, TIE, None for none."""
        if not _differ(baseline, subject):
            return "TIE", "TIE"
        first, second = (
            _verdict(log, question) for question in self._both_orders(item, baseline.text, subject.text)
        )
        return first, {"A": "B", "B": "A"}.get(second or "", second)

    def _both_orders(self, item: Item, baseline: str, subject: str) -> Iterator[Question]:
        for order, (first, second) in enumerate(((baseline, subject), (subject, baseline))):
            parts = {
                "request": item.prompt,
                "reference": item.reference,
                "answer A": first,
                "answer B": second,
            }
            text = "\n\n".join(f"<{name}>\n{part}\n</{name}>" for name, part in parts.items() if part)
            yield Question(
                place=self.name,
                component="judge",
                version=str(order),
                item=item.id,
                request=GenerationRequest(
                    messages=(
                        {"role": "system", "content": _SYSTEM},
                        {"role": "user", "content": text},
                    ),
                    max_tokens=_MAX_TOKENS,
                ),
            )


def sign_test(better: int, worse: int) -> float:
    """Return the two-sided p-value of so many better and worse items, if either were as likely."""
    count = better + worse
    # Each coefficient from the one before: to compute them one by one takes hours for 100,000 items.
    tail = ways = 1
    for fewer in range(min(better, worse)):
        ways = ways * (count - fewer) // (fewer + 1)
        tail += ways
    return min(1.0, float(Fraction(2 * tail, 2**count)))


def judge_of(text: str, account: Account) -> Judge:
    """Return the judge that `bedrock:MODEL` or `URL#MODEL` names. Raises ValueError for any other text."""
    if text.startswith(_BEDROCK) and (model := text.removeprefix(_BEDROCK)):
        return Judge(name=text, ask=_BedrockModel(account, model).ask)
    url, _, model = text.partition("#")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not model:
        raise ValueError(
            f"'--judge' should be 'bedrock:MODEL', or the URL and model of an OpenAI-compatible API such as"
            f" 'https://api.example.com/v1#model', got {text!r}"
        )
    if parts.username is not None or parts.query:
        # Reports name the judge by its URL, and so would show the key. Neither does this error show it.
        raise ValueError(
            f"'--judge' should be a URL without user, password and '?'; give a key in {KEY_VARIABLE}"
        )
    key = os.environ.get(KEY_VARIABLE)
    if key and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError(f"'--judge' should be an 'https' address, as it gets {KEY_VARIABLE}, got {url!r}")
    return Judge(name=text, ask=_OpenAiModel(url, model, key).ask)


def _differ(first: Answer, second: Answer) -> bool:
    return first.error is None and second.error is None and first.text.strip() != second.text.strip()


def _verdict(log: AnswerLog, question: Question) -> str | None:
    logged = log.answer(question)
    if logged is None or logged.answer.error is not None:
        return None
    found = _VERDICT.findall(logged.answer.text)
    return found[-1] if found else None


def _no_verdict(log: AnswerLog, question: Question) -> str | None:
    """Return why a question that was asked has no verdict; None if it has one."""
    logged = log.answer(question)
    if logged is None or _verdict(log, question) is not None:
        return None
    return logged.answer.error or f"its answer in {LOG_FILE} has no verdict such as [[A]]"


_UNREACHED = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.SSLError,
)


class _OpenAiModel:
    """A model of an OpenAI-compatible API."""

    def __init__(self, url: str, model: str, key: str | None) -> None:
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._model = model
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_TIMEOUT_SECONDS)
        self._pool = urllib3.PoolManager(maxsize=32, retries=False, timeout=timeout)

    def ask(self, _component: str, request: GenerationRequest) -> Generation:
        """Return the model's answer. Raises InvocationError."""
        body = {"model": self._model, **request.bodies()[0]}
        started = time.perf_counter()
        try:
            answer = self._pool.request(
                "POST", self._url, body=json.dumps(body).encode(), headers=self._headers, redirect=False
            )
        except _UNREACHED as error:
            raise UnaskedError(f"the judge cannot be reached: {error}", temporary=True) from error
        except urllib3.exceptions.HTTPError as error:
            raise InvocationError(f"the judge does not answer: {error}", temporary=True) from error
        seconds = time.perf_counter() - started
        if answer.status != 200:
            text = answer.data.decode(errors="replace")
            raise InvocationError(
                f"the judge answered {answer.status}: {text:.300}",
                temporary=answer.status in _TEMPORARY_STATUSES,
            )
        try:
            found = generation_of(json.loads(answer.data), seconds)
        except ValueError:
            found = None
        if found is None:
            raise InvocationError(f"the judge's answer is no chat completion: {answer.data!r:.200}")
        return found


class _BedrockModel:
    """A model of Amazon Bedrock, by its Converse API."""

    def __init__(self, account: Account, model: str) -> None:
        self._model = model
        config = Config(
            read_timeout=_TIMEOUT_SECONDS, retries={"total_max_attempts": 1}, max_pool_connections=32
        )
        self._client = account.client("bedrock-runtime", config)

    def ask(self, _component: str, request: GenerationRequest) -> Generation:
        """Return the model's answer. Raises InvocationError."""
        system, *others = request.messages
        started = time.perf_counter()
        try:
            answer: Any = self._client.converse(
                modelId=self._model,
                system=[{"text": system["content"]}],
                messages=[
                    {"role": message["role"], "content": [{"text": message["content"]}]} for message in others
                ],
                inferenceConfig={"maxTokens": request.max_tokens, "temperature": request.temperature},
            )
        except (ClientError, BotoCoreError) as error:
            raise invocation_error(error) from error
        parts = answer["output"]["message"]["content"]
        return Generation(
            text="".join(part.get("text", "") for part in parts),
            seconds=time.perf_counter() - started,
            prompt_tokens=answer.get("usage", {}).get("inputTokens"),
            completion_tokens=answer.get("usage", {}).get("outputTokens"),
        )
