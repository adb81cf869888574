"""Where the `adapters` command begins, which `python -m adapters_cli` is as well."""

from adapters_cli import INTERRUPTED


def main() -> None:
    """Run the command. Ctrl-C while it is still imported, for a quarter of a second, ends it quietly, too."""
    try:
        from adapters_cli.main import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
