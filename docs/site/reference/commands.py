"""The page of the `adapters` command: every command and every option, as its help has them."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from adapters_cli.main import app
from docs.site.markdown import anchor, block, escaped, table, wrapped

FILE = "commands.md"

_EXAMPLE = "an example of the help, with names of a fleet that is not there"
_USAGE = "a usage line"
_ACCOUNT = "AWS"
_ARGUMENTS, _OPTIONS = "Arguments", "Options"
_EXIT_CODES = (
    (
        "0",
        "everything is as it should be, or the work is done",
    ),
    (
        "1",
        "the answer is no: an adapter has failed, a manifest has errors, something is refused",
    ),
    (
        "2",
        "wrong usage: a wrong option, a missing file, or nothing that names the fleet",
    ),
    (
        "3",
        "something is pending",
    ),
    (
        "4",
        "the command could not ask AWS: no region, credentials, network or permission, a wrong "
        "`AWS_ENDPOINT_URL`, no such stack, bucket or endpoint, or no fleet in it",
    ),
    (
        "5",
        "something would change; only `plan --detailed-exitcode` ends with it",
    ),
    (
        "6",
        "`benchmark --require` could not tell: the bound lies within the figure's interval, or base and "
        "adapters do not compare",
    ),
    (
        "130, 141",
        "Ctrl-C; the reader of the output has gone, as with `| head`",
    ),
)
_SIGNALS = (
    "Another signal ends a command with 128 and the signal's number. `preview`, `evaluate` and `publish "
    "--probe-on` delete their temporary component first: they end with 143 after SIGTERM, and with 129 after "
    "SIGHUP. A traceback is a bug."
)
_CODES_OF_COMMANDS = (
    (
        "`status`",
        "all are in service, as the newest manifest wants them; with names, those adapters",
        "one has failed, the newest manifest failed or was refused, or the base component is not there or "
        "failed",
        "one is pending, or the fleet has not taken up the manifest in S3 yet",
    ),
    (
        "`plan`",
        "the manifest can be applied; with `--detailed-exitcode`, and changes nothing (5: changes something)",
        "it has errors, would be refused, or makes an adapter fail",
        "the base component is not in service, so that the fleet does nothing; or a quota has no room for all"
        " adapters",
    ),
    (
        "`apply`",
        "the manifest is in force, and nothing is pending",
        "as `plan`; or it failed, was superseded, or someone else wrote another one meanwhile",
        "`--timeout` has passed, or the fleet has not noticed the manifest within two minutes; or it is in "
        "force and something is pending, as after a deletion by hand",
    ),
    (
        "`history`",
        "there is a history, or the adapter is still to be created",
        "the fleet knows no adapter of that name",
        "",
    ),
    (
        "`apply --retry`, `rollback`, `prune`",
        "the order is stored; `apply --retry` without names: or none has failed",
        "there is no such adapter, or nothing to order for a named one",
        "",
    ),
    (
        "`import`",
        "the manifest has every adapter",
        "the command left an adapter out, or nobody confirmed",
        "",
    ),
    (
        "`describe`",
        "the adapter is shown",
        "the fleet has no such adapter",
        "",
    ),
    (
        "`preview`",
        "it loaded and answered",
        "it breaks a rule, or did not",
        "",
    ),
    (
        "`invoke`",
        "all answered",
        "one did not, or is not in the fleet",
        "",
    ),
    (
        "`usage`",
        "the use is shown",
        "",
        "",
    ),
    (
        "`logs`",
        "the lines are printed, also if there are none",
        "the fleet never had such an adapter",
        "",
    ),
    (
        "`list`",
        "the components are printed",
        "",
        "",
    ),
    (
        "`remove`",
        "the manifest is without the adapters",
        "there is no such adapter, the fleet's guard would refuse it, or nobody confirmed",
        "",
    ),
    (
        "`token`",
        "the token is printed",
        "",
        "",
    ),
)


def page() -> str:
    """Return the page."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="adapters")
    parts = [
        "# Commands",
        wrapped(
            "Every command of `adapters`, as `adapters COMMAND --help` prints it."
            " [Operating](../guides/operating.md) says what to do when."
        ),
        *_overview(group),
        "## Options of every command",
        *_parameters(group, context),
        *_exit_codes(),
    ]
    for name in group.commands:
        parts += _command(name, group.get_command(context, name))
    return "\n\n".join(parts) + "\n"


def command_names() -> list[str]:
    """Return the name of every command."""
    group: Any = typer.main.get_command(app)
    return list(group.commands)


def _overview(group: Any) -> Iterator[str]:
    panels: dict[str, list[tuple[str, str]]] = {}
    for name, command in group.commands.items():
        panel = getattr(command, "rich_help_panel", None) or "Commands"
        panels.setdefault(panel, []).append((f"[`{name}`](#{anchor(f'adapters {name}')})", command.summary))
    for panel, rows in panels.items():
        yield f"**{panel}**"
        yield table(("command", "what it does"), rows)


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes"
    yield "A command ends with one of these codes:"
    yield table(("exit code", "meaning"), _EXIT_CODES)
    yield wrapped(_SIGNALS)
    yield table(("command", "0", "1", "3"), _CODES_OF_COMMANDS)


def _command(name: str, lazy: Any) -> Iterator[str]:
    command = lazy._command  # what `--help` prints is the real command's
    context = typer.Context(command, info_name=f"adapters {name}")
    yield f"## adapters {name}"
    usage = " ".join(["adapters", name, *command.collect_usage_pieces(context)])
    yield block(usage, "text", reason=_USAGE)
    yield _paragraphs(command.help)
    examples = command.examples.strip()
    if examples:
        yield block(examples, "sh", reason=_EXAMPLE)
    yield from _parameters(command, context)
    if command.epilog:
        yield _paragraphs(command.epilog)


def _parameters(command: Any, context: Any) -> Iterator[str]:
    """Yield a table for each group of options. Those of the account have a section of their own."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        panel = parameter.rich_help_panel
        if record is None or "--help" in parameter.opts or (panel == _ACCOUNT and command.name != "adapters"):
            continue
        is_argument = parameter.param_type_name == "argument"
        title = panel or (_ARGUMENTS if is_argument else _OPTIONS)
        panels.setdefault(title, []).append((f"`{record[0]}`", escaped(record[1])))
    for title, rows in panels.items():
        if title not in (_ARGUMENTS, _OPTIONS):
            yield f"**{title}**"
        yield table(("argument" if title == _ARGUMENTS else "option", "what it does"), rows)


def _paragraphs(text: str) -> str:
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    return "\n\n".join(wrapped(escaped(part)) for part in parts)
