"""The exit codes of the `adapters` command, beside 0 for success."""

FAILED = 1
"""An adapter failed, or something was refused."""

WRONG_USAGE = 2

NOT_SETTLED = 3
"""Adapters are pending."""

ONLY_WARNINGS = 3
"""`check --strict` found no errors, but warnings or modules that it could not compare."""

NO_ANSWER = 4
"""No region, credentials, network or permission, or no fleet."""

CHANGES = 5
"""`plan --detailed-exitcode` found changes. Terraform's 2 means wrong usage here."""

INTERRUPTED = 130
"""Ctrl-C: 128 + SIGINT, as in a shell."""

BROKEN_PIPE = 141
"""The reader of the command's output has gone: 128 + SIGPIPE, as in a shell."""
