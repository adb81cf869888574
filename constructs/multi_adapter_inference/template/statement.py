"""Statements of IAM policies, as plain data until the CDK gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_iam as iam


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement that allows actions on resources."""

    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Mapping[str, Any] | None = None


def allow(actions: Sequence[str], *resources: str, conditions: Mapping[str, Any] | None = None) -> Statement:
    """Return a statement that allows actions on resources."""
    return Statement(actions=actions, resources=resources, conditions=conditions)


def in_partitions(*names: str) -> dict[str, Any]:
    """Return the conditions under which an action on a table is allowed on items of these partitions only.

    `*` in a name stands for any text.
    """
    operator = "StringLike" if any("*" in name for name in names) else "StringEquals"
    return {
        f"ForAllValues:{operator}": {"dynamodb:LeadingKeys": list(names)},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


def policy_statement(statement: Statement) -> iam.PolicyStatement:
    """Return a statement as the CDK has it, for a policy that gets more of them later."""
    return iam.PolicyStatement(
        actions=list(statement.actions),
        resources=list(statement.resources),
        conditions=statement.conditions,
    )


def policy_document(statements: Sequence[Statement]) -> iam.PolicyDocument:
    """Return a whole policy as the CDK has it. All statements are one call of the CDK."""
    return iam.PolicyDocument.from_json(
        {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": list(statement.actions),
                    "Resource": list(statement.resources),
                    **({"Condition": statement.conditions} if statement.conditions else {}),
                }
                for statement in statements
            ]
        }
    )
