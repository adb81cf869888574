"""The exit codes of the `adapters` command."""

from collections.abc import Mapping

SUCCEEDED = 0

FAILED = 1
"""An adapter or component failed or is unknown, or something was refused; a warning with `--strict`."""

WRONG_USAGE = 2

NOT_SETTLED = 3
"""Adapters are pending."""

NO_ANSWER = 4
"""No region, credentials, network or permission, or no fleet."""

CHANGES = 5
"""`plan --detailed-exitcode` found changes. Terraform's 2 means wrong usage here."""

UNDECIDED = 6
"""A benchmark does not show whether a requirement is met."""

INTERRUPTED = 130
"""Ctrl-C: 128 + SIGINT, as in a shell."""

BROKEN_PIPE = 141
"""The reader of the command's output has gone: 128 + SIGPIPE, as in a shell."""

MEANINGS: Mapping[int, str] = {
    SUCCEEDED: "success",
    FAILED: "a failed or unknown adapter, a refusal, or, with --strict, a warning",
    WRONG_USAGE: "wrong usage: a command, an option, an argument or a file",
    NOT_SETTLED: "something is pending",
    NO_ANSWER: "AWS gave no answer: no region, credentials, network, permission or fleet",
    CHANGES: "plan --detailed-exitcode found changes",
    UNDECIDED: "benchmark --require could not tell whether a requirement is met",
    INTERRUPTED: "Ctrl-C",
    BROKEN_PIPE: "the reader of the output has gone, as with | head",
}
"""What each code means. `adapters --help` and the reference page are made of it."""
