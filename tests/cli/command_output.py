"""What commands write in a pipe."""

from typer.testing import Result


def rows(result: Result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]
