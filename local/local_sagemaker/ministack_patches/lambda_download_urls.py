"""Download URLs of Lambda code and layers are signed, like AWS's presigned URLs.

Fault of ministack: its URLs have a constant instead of a signature, and it serves the paths to everyone.
"""

from collections.abc import Callable

from ministack.services import lambda_svc

from local_sagemaker.http_guards.admin_guard import DownloadSigner
from local_sagemaker.ministack_patches.internals import expect

_URLS = ("_presigned_code_url", "_layer_content_url")


def install(signer: DownloadSigner) -> None:
    """Sign the paths of both kinds of URL."""
    for name in _URLS:
        expect(hasattr(lambda_svc, name), f"lambda_svc.{name} returns a URL")
        setattr(lambda_svc, name, _signing(getattr(lambda_svc, name), signer))


def _signing(make: Callable[..., str], signer: DownloadSigner) -> Callable[..., str]:
    def make_signed(*arguments: object) -> str:
        return signer.signed(make(*arguments))

    return make_signed
