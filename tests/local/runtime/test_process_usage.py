from __future__ import annotations

import os
import sys

import pytest

from local_sagemaker.runtime.process_usage import process_usage


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_process_has_used_time_and_uses_memory() -> None:
    usage = process_usage(os.getpid())
    assert usage is not None
    seconds, memory = usage
    assert seconds > 0
    assert memory > 1_000_000


def test_nobody_can_tell_of_a_process_that_is_not_there() -> None:
    assert process_usage(2**22 + 1) is None
