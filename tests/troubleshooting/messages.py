"""Finds the messages of the four packages: the texts of errors, findings and reasons, read from the source.

A variable part of a text is shown as `…`, or as its value if it is a constant.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    ROOT / "constructs" / "multi_adapter_inference",
    ROOT / "lambda" / "adapter_fleet",
    ROOT / "cli" / "adapters_cli",
    ROOT / "local" / "local_sagemaker",
)
GAP = "…"

# What one of these is called with is a message: it raises, reports or records it. So does any `…Error`.
_REPORTER_NAMES = """
    CommandError Decision InvocationError JSONResponse Verdict Violation
    _add _add_problem _bias_problem _delete _denied _error _failed _form_error _refusal _report_failure
    _report_trouble _retry _truncated _unreadable _validation_error _warn_once
    add_info add_info_v2 add_problem add_warning_v2 capped failed failure fault finding not_checked
    print_error resource_limit_exceeded truncated validation_exception warning with_failure
"""
_REPORTERS = frozenset(_REPORTER_NAMES.split())
# These are called with messages, and with other texts, by the name of what they belong to.
_REPORTERS_OF: dict[str, set[str]] = {
    "add": {"self", "check"},
    "append": {"problems", "reasons", "found", "others", "lines", "not_measured", "not_counted"},
    "error": {"check", "Finding", "credentials", "parser"},
    "exit": {"sys"},
}
# A text that one of these keeps is put into a message, or is one.
_VARIABLES = re.compile(r"^_?(\w+_)?(message|problem|reason|trouble|why|text|refusal|cause|drifted|reasons)$")
# Modules whose functions return messages, or yield them.
_RETURNING = re.compile(
    r"adapter_fleet/(artifacts/checks/(?!req)|evaluation/|fleet/planning/|fleet/requests/is_complete"
    r"|fleet/state/archive_version|fleet/steps/|aws/sagemaker_service"
    r"|manifest/(expressions|smoke_test|value_rules)"
    r"|serving/gpu_memory)"
    r"|adapters_cli/(aws/components|output/errors|evaluation/(no_worse|statistics)|load/latency"
    r"|fleets/(base_state|fleet_status|manifest_changes))"
    r"|local_sagemaker/(http_guards/|control_plane/request_validation)"
    r"|multi_adapter_inference/(components/scaling|models/capacity"
    r"|fleet/(component_tags|fleet|fleet_interface))\.py"
)
# Logs, or texts for programs.
_SKIPPED_MODULES = re.compile(
    r"ministack_patches/|adapters_cli/reports/|monitoring/|checks/requirements_and_"
)
_SKIPPED_CALLS = frozenset({"join", "get", "partition", "startswith", "Argument", "Option", "acknowledge"})
_LOGS = re.compile(r"(^|\.)_?(log|logger)(\(\))?$")


@dataclass(frozen=True, order=True, kw_only=True)
class Message:
    """A text that a user may see.

    owner:
        The class or function that it stands in.
    severity:
        `error` or `warning`: a synth, or a check, goes on after a warning.
    command:
        The command that a check prints with it, '' if there is none.
    """

    module: str
    text: str
    owner: str
    severity: str = "error"
    command: str = ""


@cache
def messages() -> tuple[Message, ...]:
    """Return every message of the four packages."""
    trees = {
        f"{package.name}/{path.relative_to(package).as_posix()}": ast.parse(path.read_text())
        for package in PACKAGES
        for path in sorted(package.rglob("*.py"))
    }
    constants = _constants(trees)
    found: dict[tuple[str, str], Message] = {}
    for module, tree in trees.items():
        if not _SKIPPED_MODULES.search(module):
            for message in _Reader(module, constants).read(tree):
                found.setdefault((message.module, message.text), message)
    return tuple(sorted(found.values()))


def _constants(trees: Mapping[str, ast.Module]) -> dict[str, str]:
    """Return the values of the constants whose name means one value in all modules."""
    values: dict[str, set[str]] = {}
    for tree in trees.values():
        for name, value in _assigned(tree):
            if name.isupper():
                constant = value.value if isinstance(value, ast.Constant) else None
                values.setdefault(name, set()).add(str(constant) if isinstance(constant, str | int) else GAP)
    return {name: value.pop() for name, value in values.items() if len(value) == 1}


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield each name that a module or function assigns, with its value."""
    for statement in ast.walk(node) if isinstance(node, ast.FunctionDef) else ast.iter_child_nodes(node):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                yield name, value


class _Reader:
    def __init__(self, module: str, constants: dict[str, str]) -> None:
        self._module, self._constants = module, constants
        self._returns = _RETURNING.search(module) is not None
        self._scopes: list[ast.AST] = []
        """The module and the functions around the present place, whose names mean what they assign."""

        self._commands: dict[str, str] = {}
        """By the text, the command that a check prints with it."""

    def read(self, tree: ast.Module) -> Iterator[Message]:
        self._scopes = [tree]
        for message in list(self._visit(tree, "", reported=False, severity="error")):
            yield replace(message, command=self._commands.get(message.text, ""))

    def _visit(self, node: ast.AST, owner: str, *, reported: bool, severity: str) -> Iterator[Message]:
        if isinstance(node, ast.expr) and (text := self._text(node)) is not None:
            if reported and _is_message(text):
                yield Message(module=self._module, text=text, owner=owner, severity=severity)
            return
        if isinstance(node, ast.Name):
            texts = self._said(node) if reported else ()
            yield from (
                Message(module=self._module, text=text, owner=owner, severity=severity)
                for text in texts
                if _is_message(text)
            )
            return
        outer = self._scopes
        if isinstance(node, ast.FunctionDef):
            self._scopes = [node, *outer]
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            owner = f"{owner}.{node.name}" if owner else node.name
            reported = False
        for child, is_reported in self._children(node, reported):
            warned = severity == "warning" or (isinstance(node, ast.Call) and "warn" in _name(node.func))
            yield from self._visit(
                child, owner, reported=is_reported, severity="warning" if warned else severity
            )
        self._scopes = outer

    def _children(self, node: ast.AST, reported: bool) -> Iterator[tuple[ast.AST, bool]]:
        """Return the children of a node in which messages may be, and whether they are reported."""
        match node:
            case ast.Expr(value=ast.Constant()):
                return  # a docstring
            case ast.Raise(exc=error) if error is not None:
                yield error, True
            case ast.Call():
                yield from self._arguments(node, reported)
            case ast.Return(value=value) | ast.Yield(value=value) if value is not None:
                yield value, reported or self._returns
            case ast.Assign(targets=[target], value=value):
                yield value, _is_variable(target)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                yield value, _is_variable(target)
            case ast.IfExp(body=body, orelse=other):
                yield body, reported
                yield other, reported
            case ast.Compare() | ast.Subscript() | ast.arguments() | ast.JoinedStr():
                return
            case _:
                for child in ast.iter_child_nodes(node):
                    yield child, reported

    def _arguments(self, call: ast.Call, reported: bool) -> Iterator[tuple[ast.AST, bool]]:
        name, of = _name(call.func), _owner_of(call.func)
        if name in _SKIPPED_CALLS or _LOGS.search(of):
            if name == "join":
                yield from ((argument, reported) for argument in call.args)
            return
        of_some = _REPORTERS_OF.get(name, set())
        reports = name in _REPORTERS or name.endswith("Error") or of.rpartition(".")[2] in of_some
        # A check's second argument is a command.
        arguments = call.args
        if of.endswith(("check", "credentials")) or name == "fault":
            arguments = call.args[:1]
            if len(call.args) > 1:
                self._keep_command(call.args[0], call.args[1])
        yield call.func, reported
        for argument in arguments:
            yield argument, reported or reports
        for keyword in call.keywords:
            if keyword.arg in ("style", "help"):
                continue
            told = keyword.arg is not None and _VARIABLES.match(keyword.arg) is not None
            yield keyword.value, reported or reports or told

    def _keep_command(self, text: ast.expr, command: ast.expr) -> None:
        for of, line in product(self._said(text), self._said(command)):
            self._commands.setdefault(of, line)

    def _said(self, node: ast.expr) -> Iterator[str]:
        """Yield the texts that an argument may have."""
        return self._texts_of(node.id) if isinstance(node, ast.Name) else self._alternatives(node)

    def _texts_of(self, name: str) -> Iterator[str]:
        """Yield the texts that a name may stand for."""
        assigned = next((found[name] for found in map(_names, self._scopes) if name in found), ())
        for value in assigned:
            yield from self._alternatives(value)
        if name in self._constants and not assigned:
            yield self._constants[name]

    def _alternatives(self, node: ast.expr) -> Iterator[str]:
        """Yield the texts that an expression may have."""
        match node:
            case ast.IfExp(body=body, orelse=other):
                parts = [body, other]
            case ast.List(elts=parts):
                pass
            case ast.ListComp(elt=part):
                parts = [part]
            case _:
                text = self._text(node)
                yield from () if text is None else (text,)
                return
        for part in parts:
            yield from self._alternatives(part)

    def _text(self, node: ast.expr) -> str | None:
        """Return the text of an expression that makes one, None for any other."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.JoinedStr(values=values):
                return _with_one_gap("".join(map(self._part, values)))
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                parts = (self._text(left), self._text(right))
                if parts == (None, None):
                    return None
                return _with_one_gap("".join(GAP if part is None else part for part in parts))
        return None

    def _part(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(value=text):
                return str(text)
            case ast.FormattedValue(value=ast.Name(id=name), conversion=-1, format_spec=None):
                return self._constants.get(name, GAP)
        return GAP


@cache
def _names(node: ast.AST) -> dict[str, list[ast.expr]]:
    found = defaultdict(list)
    for name, value in _assigned(node):
        found[name].append(value)
    return found


def _name(function: ast.expr) -> str:
    match function:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _owner_of(function: ast.expr) -> str:
    return ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""


def _is_variable(target: ast.expr) -> bool:
    name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
    return _VARIABLES.match(name) is not None


def _with_one_gap(text: str) -> str:
    return re.sub(f"{GAP}+", GAP, text)


def _is_message(text: str) -> bool:
    """Return True for three words or more, of which two are not variable parts."""
    if text.startswith(("aws ", "cdk ", "adapters ")) or text.endswith("that a policy could name"):
        return False  # a command, or why a wildcard is right
    if re.fullmatch(r"a (list of names|whole number.*)|whole numbers .*|an object of .*", text):
        return "should" in text  # else it is what a value should be, for another text
    if text.startswith(f"{GAP} ({GAP} of {GAP}"):
        return False  # a count behind another text
    return len(text.split()) >= 3 and len(re.findall(r"[A-Za-z][a-z']+", text)) >= 2
