"""The page with an answer for each property: docs/reference/properties.md."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.properties.newer_shapes import KINDS, ROOT

PAGE = ROOT / "docs" / "reference" / "properties.md"
ANSWERS = PAGE.with_suffix(".toml")

_HEAD = """\
# Every property

Each property of the four resources that host a base model and its adapters, as
CloudFormation and the API have it: which argument of the constructs sets it, or why none does, and what the
embedded cloud does with it.

- **acts**: it changes what happens. **stores**: it is checked against the API's model, and returned as it was
  sent. **ignores**: it is checked and forgotten. **refuses**: a request with it fails.
- *API only*: CloudFormation does not have it, so no construct can set it, and the embedded cloud refuses it
  in a template.

[Hosting settings](../guides/hosting.md) explains most of the arguments. `make properties` writes this page
from aws-cdk-lib, CloudFormation's schemas, botocore and the answers in properties.toml. A test fails with the
name of a property that has no answer.
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the constructs and the embedded cloud do with the properties below a path."""

    path: str
    argument: str = ""
    fixed: str = ""
    left_out: str = ""
    cloud: str

    @property
    def construct(self) -> str:
        if self.argument:
            return f"`{self.argument}`"
        return f"always {self.fixed}" if self.fixed else f"*none.* {self.left_out}"

    @property
    def does(self) -> str:
        """acts, stores, ignores or refuses."""
        return self.cloud.replace(";", ":").partition(":")[0].strip()


Answers = Mapping[str, Mapping[str, Answer]]


def read_answers() -> Answers:
    document = tomllib.loads(ANSWERS.read_text())
    return {
        kind: {path: Answer(path=path, **answer) for path, answer in document[kind].items()} for kind in KINDS
    }


def answer_for(path: str, answers: Mapping[str, Answer]) -> Answer | None:
    """The answer of the longest path that the property is below."""
    parts = path.split(".")
    tried = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((answers[begin] for begin in tried if begin in answers), None)


def page(cloudformation: Mapping[str, set[str]], api: Mapping[str, set[str]], answers: Answers) -> str:
    sections = [_HEAD]
    for kind in KINDS:
        rows = list(_rows(cloudformation[kind], api[kind], answers[kind]))
        sections.append(
            "\n".join(
                (
                    f"## AWS::SageMaker::{kind}\n",
                    "| property | construct | embedded cloud |",
                    "|---|---|---|",
                    *(f"| {' | '.join(cells)} |" for cells in rows),
                    "",
                )
            )
        )
    return "\n".join(sections)


def _rows(cloudformation: set[str], api: set[str], answers: Mapping[str, Answer]) -> Iterator[Sequence[str]]:
    below: dict[str, list[str]] = {}
    for path in sorted(cloudformation | api):
        answer = answer_for(path, answers)
        if answer is not None:
            below.setdefault(answer.path, []).append(path)
    for path, properties in below.items():
        answer = answers[path]
        shown = [f"`{path}`"]
        nested = [f"`{one.removeprefix(path + '.')}`" for one in properties if one != path]
        if nested:
            shown.append(": " + ", ".join(nested))
        if not cloudformation & set(properties):
            shown.append(" (API only)")
        yield "".join(shown), answer.construct, answer.cloud
