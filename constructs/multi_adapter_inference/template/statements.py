"""Statements of IAM policies, as plain data until the CDK gets them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

from adapter_fleet.common.validators import holds_token
from multi_adapter_inference.template.stack_location import elsewhere, partition_of, stack_of


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


def reads_objects(
    scope: IConstruct,
    *objects: tuple[s3.IBucket, str],
    assets: Sequence[str] = (),
    lists_them_alone: bool = False,
) -> list[Statement]:
    """Return the statements for a reader of objects, each a bucket and a pattern of keys.

    Adds a warning to `scope` for a bucket of another account, whose policy this app does not write.

    assets:
        The ARNs of further objects, which are never missing.
    lists_them_alone:
        True for a reader that lists a missing object by its key, as `adapters` does.
    """
    arns = [*assets, *(bucket.arn_for_objects(keys) for bucket, keys in objects)]
    buckets = [bucket for bucket, _ in objects]
    # Without it, S3 answers a request for a missing object with "access denied". A condition on the prefix
    # would not help, as such a request has none: the reader then has to list the object by its key.
    bucket_arns = dict.fromkeys(bucket.bucket_arn for bucket in buckets)
    lists = [allow(["s3:ListBucket"], *bucket_arns)] if buckets else []
    if lists_them_alone:
        lists = [_lists(arn, [keys for of, keys in objects if of.bucket_arn == arn]) for arn in bucket_arns]
    return [
        *([allow(["s3:GetObject"], *arns)] if arns else []),
        *lists,
        *decrypts_objects(scope, *buckets),
    ]


def _lists(bucket_arn: str, keys: Sequence[str]) -> Statement:
    conditions = None if "*" in keys else {"StringLike": {"s3:prefix": list(keys)}}
    return allow(["s3:ListBucket"], bucket_arn, conditions=conditions)


def decrypts_objects(scope: IConstruct, *buckets: s3.IBucket) -> list[Statement]:
    """Return the statements for the use of the buckets' keys by a reader. Warns as `reads_objects` does."""
    statements = {}
    for bucket in buckets:
        _warn_of_another_account(scope, bucket)
        if bucket.encryption_key is not None:
            statement = _decrypts(scope, bucket.encryption_key)
            statements[tuple(statement.resources)] = statement
    return list(statements.values())


def _decrypts(scope: IConstruct, key: kms.IKey) -> Statement:
    """Return the statement for the use of a bucket's key by a reader.

    A key has no name that synth could know, so a template of another account or region cannot have its ARN.
    There, the statement covers each key of that account that S3 uses for an object of that region.
    """
    actions, arn = ["kms:Decrypt"], key_arn(key)
    if not holds_token(arn) or not elsewhere(scope, key):
        return allow(actions, arn)
    account, region = key.env.account, key.env.region
    return allow(
        actions,
        f"arn:{partition_of(scope)}:kms:{region}:{account}:key/*",
        conditions={"StringEquals": {"kms:ViaService": f"s3.{region}.{stack_of(scope).url_suffix}"}},
    )


def key_arn(key: kms.IKey) -> str:
    """Return the ARN that statements name a key by. The ARN of an alias gives no right to its key."""
    return (key.alias_target_key if isinstance(key, kms.Alias) else key).key_arn


def _warn_of_another_account(scope: IConstruct, bucket: s3.IBucket) -> None:
    if "account" not in elsewhere(scope, bucket):
        return
    Annotations.of(scope).add_warning_v2(
        "multi-adapter-inference:bucket-of-another-account",
        f"the bucket '{bucket.node.path}' belongs to the account {bucket.env.account}: its bucket policy, and"
        " the policy of its KMS key, have to let the roles of this app read it",
    )
