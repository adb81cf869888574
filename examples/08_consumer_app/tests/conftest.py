"""What the tests deploy: the app, with stand-ins in place of the large model and its adapters."""

import pytest

from local_sagemaker.cdk_app import CdkApp
from local_sagemaker.stand_ins import write_adapter, write_base_model

TENANTS = ("acme", "globex")


@pytest.fixture(scope="session")
def local_fleet_app(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> CdkApp:
    """The app of this folder, with a tiny base model and an adapter for each tenant."""
    models = tmp_path_factory.mktemp("models")
    base = write_base_model(models / "base", "I am the base model.")
    manifest = ["adapters:"]
    for tenant in TENANTS:
        write_adapter(models / "adapters" / tenant, f"I answer for {tenant}.", base=base)
        manifest.append(f"  - {{name: {tenant}, artifact: ./adapters/{tenant}}}")
    (models / "adapters.yaml").write_text("\n".join(manifest))
    return CdkApp(folder=pytestconfig.rootpath, context={"models": str(models)})
