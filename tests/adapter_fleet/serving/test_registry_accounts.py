from adapter_fleet.serving.registry_accounts import REGISTRY_ACCOUNTS


def test_account_depends_on_the_region() -> None:
    assert REGISTRY_ACCOUNTS["us-west-2"] == "763104351884"
    assert REGISTRY_ACCOUNTS["cn-north-1"] == "727897471807"


def test_every_account_is_an_account_id() -> None:
    assert all(len(account) == 12 and account.isdigit() for account in REGISTRY_ACCOUNTS.values())
