"""What the help page of a command has beside typer's own: examples, and no types of Python."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption


class HelpfulCommand(TyperCommand):
    """A command whose help page ends with examples, and whose errors are messages.

    examples:
        Whole command lines, each below a comment that says what it does.
    """

    examples: str = ""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters as the help shows them."""
        return without_types(super().get_params(ctx))

    def make_parser(self, ctx: Any) -> Any:
        """Return the parser, which refuses a second value for an option that takes one."""
        return once_each(super().make_parser(ctx), ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line: [OPTIONS], and the arguments as the manuals write them."""
        arguments = [param for param in self.get_params(ctx) if isinstance(param, TyperArgument)]
        return ["[OPTIONS]", *map(_usage, arguments)]

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        # Imported here: `--help` does without.
        from adapters_cli.output.errors import reported_errors

        with reported_errors():
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help page. The examples have no frame, so that they can be copied."""
        super().format_help(ctx, formatter)
        print_block("Examples", self.examples.strip().splitlines())


def print_block(title: str, lines: Sequence[str]) -> None:
    """Print lines below a title, as they are."""
    if lines:
        typer.echo("\n".join(["", f" {title}:", *(f"   {line}".rstrip() for line in lines)]))


def without_types(params: list[Any]) -> list[Any]:
    """Let the help show no type of Python beside arguments and flags. Options show their `metavar`."""
    for param in params:
        if isinstance(param, TyperArgument) or (isinstance(param, TyperOption) and param.is_flag):
            vars(param).update(display_type_rich=_no_type)
    return params


def once_each(parser: Any, ctx: Any) -> Any:
    """Let a parser refuse an option that is given twice and keeps one value: the last one would count."""
    parse = parser.parse_args

    def parse_args(args: list[str]) -> Any:
        parsed = parse(args=args)
        for option, count in Counter(parsed[2]).items():
            if isinstance(option, TyperOption) and count > 1 and not option.multiple and not option.is_flag:
                ctx.fail(f"{option.opts[0]} takes one value, got {count}")
        return parsed

    parser.parse_args = parse_args
    return parser


def _no_type(**_: Any) -> None:
    """Return no type, in place of typer's method of a parameter."""


def _usage(argument: TyperArgument) -> str:
    name = f"{argument.metavar}{'' if argument.nargs == 1 else '...'}"
    return name if argument.required else f"[{name}]"
