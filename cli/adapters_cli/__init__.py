"""The `adapters` command."""
