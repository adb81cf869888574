"""`python -m adapters_cli` is `adapters`."""

from adapters_cli.main import main

main()
