"""Clients of the emulated S3 that act as an execution role."""

import threading
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from local_sagemaker.gateway import iam

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class S3Access:
    """S3 clients of one account and region, one for each role. Thread-safe."""

    def __init__(self, endpoint_url: str, account: str, region: str):
        self._endpoint_url = endpoint_url
        self._account = account
        self._session = boto3.session.Session(region_name=region)
        self._clients: dict[iam.Credentials, S3Client] = {}
        # boto3's clients are thread-safe, its sessions are not.
        self._lock = threading.Lock()

    def as_role(self, role: str) -> "S3Client":
        """A client that acts as a role; HostingError if the role does not trust SageMaker."""
        credentials = iam.assume(role, self._account)
        with self._lock:
            if credentials not in self._clients:
                self._clients[credentials] = self._session.client(
                    "s3",
                    endpoint_url=self._endpoint_url,
                    aws_access_key_id=credentials.access_key,
                    aws_secret_access_key=credentials.secret_key,
                    aws_session_token=credentials.session_token,
                    config=Config(s3={"addressing_style": "path"}),
                )
            return self._clients[credentials]
