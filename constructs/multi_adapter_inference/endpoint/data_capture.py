"""Requests and answers of an endpoint, written to a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker

from adapter_fleet.common.validators import check_whole_number
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.object_prefix import as_folder, folder_url


class CaptureMode(StrEnum):
    """What data capture writes.

    Example::

        CaptureMode.INPUT  # `mode` of a `DataCapture`
    """

    INPUT = "Input"
    """Requests."""
    OUTPUT = "Output"
    """Answers."""
    INPUT_AND_OUTPUT = "InputAndOutput"
    """Both."""


@checked
@dataclass(frozen=True, kw_only=True)
class DataCapture:
    """What an endpoint writes of its requests and answers to a bucket. Prompts may hold personal data.

    Content of other types than `application/json` is written in base64. No source says whether SageMaker
    captures streamed answers and requests of the OpenAI path.

    bucket:
        The bucket to write to.
    prefix:
        The folder of the bucket. Default: the whole bucket.
    sampling_percent:
        The share of the requests, from 0 to 100.
    mode:
        Whether requests are written, or answers. Default: both.
    encryption_key:
        The KMS key of the objects. Default: the bucket's own encryption.

    Example::

        DataCapture(bucket=bucket, prefix="captured/", sampling_percent=5)
    """

    bucket: s3.IBucket
    prefix: str = ""
    sampling_percent: int
    mode: CaptureMode = CaptureMode.INPUT_AND_OUTPUT
    encryption_key: kms.IKey | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", as_folder(self.prefix))
        check_whole_number("sampling_percent", self.sampling_percent, at_least=0)
        if self.sampling_percent > 100:
            raise ValueError(f"'sampling_percent' should be at most 100, got {self.sampling_percent}")

    @property
    def _property(self) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty:
        """The property of the endpoint configuration."""
        cfn, key = sagemaker.CfnEndpointConfig, self.encryption_key
        modes = {
            CaptureMode.INPUT_AND_OUTPUT: [CaptureMode.INPUT, CaptureMode.OUTPUT],
        }.get(self.mode, [self.mode])
        return cfn.DataCaptureConfigProperty(
            enable_capture=True,
            initial_sampling_percentage=self.sampling_percent,
            destination_s3_uri=folder_url(self.bucket, self.prefix),
            kms_key_id=None if key is None else key.key_arn,
            capture_options=[cfn.CaptureOptionProperty(capture_mode=mode.value) for mode in modes],
            # Other types are written in base64.
            capture_content_type_header=cfn.CaptureContentTypeHeaderProperty(
                json_content_types=["application/json"]
            ),
        )
