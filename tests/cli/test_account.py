from __future__ import annotations

import pytest

from adapters_cli.account import Account


@pytest.mark.parametrize("client", ["cloudformation", "s3", "machines"])
def test_commands_try_again_where_a_service_throttles(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    retries = getattr(Account(), client).meta.config.retries
    assert (retries["mode"], retries["total_max_attempts"]) == ("standard", 6)
