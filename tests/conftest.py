"""What all tests share."""

import os

# The CDK's own validation of templates takes seconds at each synth. It is read when the CDK is imported;
# `tests/stacks` runs it once, in a process of its own.
os.environ["CDK_VALIDATION"] = "false"
