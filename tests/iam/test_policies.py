"""The policies of every role are what its calls need: no action more, and none less."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.iam import record, reference
from tests.iam.by_hand import by_hand
from tests.iam.check import differences, refusals
from tests.iam.pieces import as_list, kinds
from tests.iam.roles import Role, Roles, synthesize

pytestmark = pytest.mark.slow

_SERVICES = ("events", "lambda", "logs.us-east-1", "sagemaker", "states")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return synthesize(tmp_path_factory.mktemp("everything"))


@pytest.fixture(scope="module")
def roles(template: Mapping[str, Any]) -> Roles:
    return Roles(template)


@dataclass(frozen=True)
class Place:
    """A statement of a role."""

    role: Role
    statement: int

    def __str__(self) -> str:
        return f"{self.role.name}, statement {self.statement}"

    @property
    def actions(self) -> list[str]:
        return list(as_list(self.role.statements[self.statement]["Action"]))

    def with_actions(self, actions: list[str]) -> Role:
        """Return the role with other actions in the statement, which is left out with none."""
        statements = copy.deepcopy(list(self.role.statements))
        if actions:
            statements[self.statement] = {**statements[self.statement], "Action": actions}
        else:
            del statements[self.statement]
        return replace(self.role, statements=statements)


@pytest.fixture(scope="module")
def places(roles: Roles) -> Sequence[Place]:
    """Every statement of every role."""
    return [Place(role, statement) for role in roles.all() for statement in range(len(role.statements))]


def found(roles: Roles, role: Role) -> list[str]:
    return differences(roles, role) or refusals(roles, role)


def test_every_role_is_allowed_what_it_calls_and_nothing_else(roles: Roles) -> None:
    assert "\n".join(each for role in roles.all() for each in differences(roles, role)) == ""


def test_every_action_exists_and_takes_its_resources_and_conditions(roles: Roles) -> None:
    assert "\n".join(each for role in roles.all() for each in refusals(roles, role)) == ""


def test_every_kind_of_role_on_record_is_in_the_template(roles: Roles) -> None:
    made = {role.kind for role in roles.all()}
    assert {call.who for call in record.read() if call.part == "roles"} <= made
    assert made == set(kinds())


def test_state_machines_may_call_the_functions_of_their_definitions(roles: Roles) -> None:
    allowed = {
        role.name: {resource for statement in role.statements for resource in roles.resources_of(statement)}
        for role in roles.all()
    }
    for role, definition in roles.machines():
        called = set(re.findall(r"arn:aws:lambda:[\w:-]+", definition))
        assert called
        assert called <= allowed[role]


def strangers(roles: Roles) -> list[str]:
    """Return whom the policies let in beside the account, its roles and the services that the app uses."""
    known = {f"{service}.amazonaws.com" for service in _SERVICES}
    return [
        f"{path}: {principal}"
        for path, principal in roles.let_in()
        if principal not in known and not principal.startswith("arn:aws:iam::111122223333:")
    ]


def test_policies_of_roles_keys_queues_and_functions_let_in_no_stranger(roles: Roles) -> None:
    assert len(list(roles.let_in())) >= 40
    assert strangers(roles) == []


@pytest.mark.parametrize(
    ("type_", "of", "change"),
    [
        ("AWS::IAM::Role", "AssumeRolePolicyDocument", {"Principal": {"AWS": "*"}}),
        ("AWS::KMS::Key", "KeyPolicy", {"Principal": "*"}),
        ("AWS::SQS::QueuePolicy", "PolicyDocument", {"Principal": {"AWS": "arn:aws:iam::999988887777:root"}}),
        ("AWS::Lambda::Permission", None, {"Principal": "*"}),
        ("AWS::Lambda::Permission", None, {"SourceArn": None}),
    ],
    ids=["role", "key", "queue", "function", "function without a source"],
)
def test_stranger_is_noticed(
    template: Mapping[str, Any], type_: str, of: str | None, change: Mapping[str, Any]
) -> None:
    changed: dict[str, Any] = copy.deepcopy(dict(template))
    properties = next(one["Properties"] for one in changed["Resources"].values() if one["Type"] == type_)
    target = properties if of is None else properties[of]["Statement"][0]
    target.update(change, **({} if of is None else {"Effect": "Allow"}))
    for name in [name for name, value in target.items() if value is None]:
        del target[name]
    assert len(strangers(Roles(changed))) == 1


def test_an_action_that_is_taken_from_any_statement_of_any_role_is_noticed(
    roles: Roles, places: Sequence[Place]
) -> None:
    unnoticed = [
        f"{place}: {action}"
        for place in places
        for action in place.actions
        if not found(roles, place.with_actions([each for each in place.actions if each != action]))
    ]
    assert unnoticed == []


@pytest.mark.slow
def test_an_action_that_is_added_to_any_statement_of_any_role_is_noticed(
    roles: Roles, places: Sequence[Place]
) -> None:
    unnoticed = [
        f"{place}: {action}"
        for place in places
        for action in neighbours(place)
        if not found(roles, place.with_actions([*place.actions, action]))
    ]
    assert unnoticed == []


def neighbours(place: Place) -> list[str]:
    """Return all actions of a statement's service, and one of each, as like the present ones as can be."""
    chosen = {"*": "{}:*".format(place.actions[0].partition(":")[0])}
    for present in place.actions:
        service = present.partition(":")[0]
        types = {type_ for one in reference.actions(present) for type_ in one.types}
        for one in reference.actions(f"{service}:*"):
            if one.name not in place.actions and (types & set(one.types) or not types | set(one.types)):
                chosen.setdefault(service, one.name)
    return list(chosen.values())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Action": "s3:GetObjects"}, "there is no action s3:GetObjects"),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket"}, "takes none of arn:aws:s3:::bucket"),
        ({"Action": "sagemaker:ListInferenceComponents", "Resource": "arn:aws:s3:::b"}, "takes none of"),
        ({"Action": "sagemaker:InvokeEndpoint", "Resource": "*"}, "is allowed on *"),
        (
            {"Action": "s3:GetObject", "Condition": {"StringEquals": {"s3:prefix": "a"}}},
            "has no condition key s3:prefix",
        ),
        (
            {"Action": "s3:GetObject", "Resource": ["arn:aws:s3:::b/c", "arn:aws:sqs:us-east-1:1:q"]},
            "no action of s3:GetObject takes arn:aws:sqs:us-east-1:1:q",
        ),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::*/key"}, "may be anybody's"),
        (
            {"Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:*:q"},
            "arn:aws:sqs:us-east-1:*:q may be anybody's",
        ),
        (
            {"Action": "s3:ListBucket", "Condition": {"StringLike": {"s3:prefix": ["a", "*"]}}},
            "the condition on s3:prefix holds for everything",
        ),
        ({"Action": "s3:GetObject", "Effect": "Deny"}, "it is a statement with Deny"),
    ],
    ids=[
        *("unknown action", "wrong type", "no type", "wide", "unknown key", "unused resource"),
        *("any bucket", "any account", "empty condition", "denial"),
    ],
)
def test_what_does_not_fit_the_reference_is_named(
    roles: Roles, change: Mapping[str, Any], reason: str
) -> None:
    statement = {"Effect": "Allow", "Resource": "arn:aws:s3:::bucket/key", **change}
    assert reason in "\n".join(refusals(roles, Role(name="Bad", kind=None, statements=[statement])))


def test_nothing_is_said_by_hand_that_is_not_so(roles: Roles, places: Sequence[Place]) -> None:
    names = [role.name for role in roles.all()]
    for entry in (*by_hand("uncalled"), *by_hand("absent"), *by_hand("repeated")):
        for pattern in entry.roles:
            assert any(replace(entry, roles=[pattern]).is_about(name) for name in names), pattern
    allowed = {action for place in places for action in place.actions}
    for entry in by_hand("wide"):
        assert set(entry.actions) <= allowed, entry
