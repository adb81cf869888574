"""Start of the `adapters` command, and of `python -m adapters_cli`."""

from adapters_cli.output.exit_codes import INTERRUPTED


def main() -> None:
    """Run the command. Ctrl-C during its imports, which take a quarter of a second, ends it quietly, too."""
    try:
        from adapters_cli.main import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
