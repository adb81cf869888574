from __future__ import annotations

import pytest

from local_sagemaker.ministack_patches.internals import UnknownMinistackError, expect


def test_ministack_that_is_built_differently_is_named_with_its_version() -> None:
    with pytest.raises(UnknownMinistackError, match="is not built as expected: a table is there"):
        expect(False, "a table is there")
