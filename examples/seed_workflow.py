"""The workflow of the AWS post on multi-adapter inference, by hand in boto3, with nothing of this library.

It is what the constructs replace, and it shows that the embedded cloud is SageMaker to any client: run it in
a shell where `make local` printed its variables. It uploads the fixtures, creates model, endpoint
configuration, endpoint, base and adapter component, invokes and streams from both, updates and deletes.

    python examples/seed_workflow.py
"""

from __future__ import annotations

import json
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

TICKETS = Path(__file__).parent / "tickets"
PROMPT = json.loads((TICKETS / "prompts.json").read_text())[0]["prompt"]
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.36.0-lmi19.0.0-cu128"

ROLE_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}

s3: Any = boto3.client("s3")
iam = boto3.client("iam")
sm_client = boto3.client("sagemaker")
sm_rt_client = boto3.client("sagemaker-runtime")


def upload_adapter(bucket: str, directory: Path, key: str) -> str:
    """Pack a directory's files at the root of a `.tar.gz` and put it into the bucket."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "adapter.tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            for file in sorted(directory.iterdir()):
                tar.add(file, arcname=file.name)
        s3.upload_file(str(archive), bucket, key)
    return f"s3://{bucket}/{key}"


def component_status(name: str) -> str | None:
    """Return the component's status, None when it is gone. boto3 has no waiter for components."""
    try:
        return str(
            sm_client.describe_inference_component(InferenceComponentName=name)["InferenceComponentStatus"]
        )
    except ClientError as error:
        if "Could not find" in str(error):
            return None
        raise


def wait_for_component(name: str, wanted: str | None, seconds: float = 600) -> None:
    """Poll until the component has the wanted status, or, for None, is gone."""
    deadline = time.monotonic() + seconds
    while (status := component_status(name)) != wanted:
        if status == "Failed" or time.monotonic() > deadline:
            raise RuntimeError(f"{name} is {status}, not {wanted}")
        time.sleep(0.3)


def invoke(endpoint: str, component: str) -> str:
    """Ask one component for the whole answer, in the body format of the LMI container."""
    response = sm_rt_client.invoke_endpoint(
        EndpointName=endpoint,
        InferenceComponentName=component,
        Body=json.dumps({"inputs": PROMPT, "parameters": {"max_new_tokens": 60, "temperature": 0}}),
        ContentType="application/json",
    )
    return str(json.loads(response["Body"].read())["generated_text"])


def stream(endpoint: str, component: str) -> str:
    """Ask one component for a streamed answer, printing its parts as they arrive."""
    response = sm_rt_client.invoke_endpoint_with_response_stream(
        EndpointName=endpoint,
        InferenceComponentName=component,
        Body=json.dumps({"prompt": PROMPT, "max_tokens": 60, "temperature": 0, "stream": True}),
        ContentType="application/json",
    )
    received = b"".join(event["PayloadPart"]["Bytes"] for event in response["Body"])
    # LMI streams lines of JSON and ends with an empty one.
    parts = [json.loads(line) for line in received.decode().splitlines() if line]
    texts = [part["choices"][0]["text"] for part in parts]
    print(f"{component} streamed {len(texts)} parts")
    return "".join(texts)


def main() -> dict[str, Any]:
    """Run every step; return the answers, so that a test can compare them."""
    account = boto3.client("sts").get_caller_identity()["Account"]
    bucket, suffix = f"seed-workflow-{account}", time.strftime("%Y%m%d%H%M%S")
    model_name = endpoint_config_name = endpoint_name = f"tickets-{suffix}"
    base_name, adapter_name = f"base-tickets-{suffix}", f"adapter-summary-{suffix}"

    if (region := s3.meta.region_name) == "us-east-1":
        s3.create_bucket(Bucket=bucket)
    else:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    for file in sorted((TICKETS / "base").iterdir()):
        s3.upload_file(str(file), bucket, f"models/tickets/{file.name}")
    adapter_s3_uri = upload_adapter(bucket, TICKETS / "adapters" / "summary", "adapters/summary-1.tar.gz")
    new_adapter_s3_uri = upload_adapter(
        bucket, TICKETS / "adapters-v2" / "summary", "adapters/summary-2.tar.gz"
    )

    role = iam.create_role(RoleName=f"tickets-{suffix}", AssumeRolePolicyDocument=json.dumps(ROLE_TRUST))[
        "Role"
    ]
    reads = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
        ],
    }
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="read", PolicyDocument=json.dumps(reads))

    sm_client.create_model(
        ModelName=model_name,
        ExecutionRoleArn=role["Arn"],
        PrimaryContainer={
            "Image": IMAGE,
            "Environment": {
                "HF_MODEL_ID": f"s3://{bucket}/models/tickets",
                "OPTION_ROLLING_BATCH": "disable",
                "OPTION_ASYNC_MODE": "true",
                "OPTION_ENTRYPOINT": "djl_python.lmi_vllm.vllm_async_service",
                "OPTION_TENSOR_PARALLEL_DEGREE": "max",
                "OPTION_ENABLE_LORA": "true",
                "OPTION_MAX_LORAS": "30",
                "OPTION_MAX_CPU_LORAS": "70",
                "OPTION_MAX_LORA_RANK": "16",
            },
        },
    )
    sm_client.create_endpoint_config(
        EndpointConfigName=endpoint_config_name,
        ExecutionRoleArn=role["Arn"],
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "InstanceType": "ml.g5.12xlarge",
                "InitialInstanceCount": 1,
                "ModelDataDownloadTimeoutInSeconds": 900,
                "ContainerStartupHealthCheckTimeoutInSeconds": 900,
                "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
            }
        ],
    )
    sm_client.create_endpoint(EndpointName=endpoint_name, EndpointConfigName=endpoint_config_name)
    sm_client.get_waiter("endpoint_in_service").wait(EndpointName=endpoint_name, WaiterConfig={"Delay": 1})

    sm_client.create_inference_component(
        InferenceComponentName=base_name,
        EndpointName=endpoint_name,
        VariantName="AllTraffic",
        Specification={
            "ModelName": model_name,
            "StartupParameters": {
                "ModelDataDownloadTimeoutInSeconds": 900,
                "ContainerStartupHealthCheckTimeoutInSeconds": 900,
            },
            "ComputeResourceRequirements": {
                "MinMemoryRequiredInMb": 32000,
                "NumberOfAcceleratorDevicesRequired": 4,
            },
        },
        RuntimeConfig={"CopyCount": 1},
    )
    wait_for_component(base_name, "InService")
    sm_client.create_inference_component(
        InferenceComponentName=adapter_name,
        EndpointName=endpoint_name,
        Specification={
            "BaseInferenceComponentName": base_name,
            "Container": {"ArtifactUrl": adapter_s3_uri},
        },
    )
    wait_for_component(adapter_name, "InService")

    answers = {"base": invoke(endpoint_name, base_name), "adapter": invoke(endpoint_name, adapter_name)}
    answers["streamed base"] = stream(endpoint_name, base_name)
    answers["streamed adapter"] = stream(endpoint_name, adapter_name)

    sm_client.update_inference_component(
        InferenceComponentName=adapter_name, Specification={"Container": {"ArtifactUrl": new_adapter_s3_uri}}
    )
    wait_for_component(adapter_name, "InService")
    # A failed update ends in service too, on the artifact before, so the status alone proves nothing.
    updated = sm_client.describe_inference_component(InferenceComponentName=adapter_name)
    if (deployed := updated["Specification"]["Container"].get("ArtifactUrl")) != new_adapter_s3_uri:
        raise RuntimeError(f"{adapter_name} still has {deployed}: {updated.get('FailureReason')}")
    answers["updated adapter"] = invoke(endpoint_name, adapter_name)

    for name in (adapter_name, base_name):
        sm_client.delete_inference_component(InferenceComponentName=name)
        wait_for_component(name, None)
    sm_client.delete_endpoint(EndpointName=endpoint_name)
    sm_client.get_waiter("endpoint_deleted").wait(EndpointName=endpoint_name, WaiterConfig={"Delay": 1})
    sm_client.delete_endpoint_config(EndpointConfigName=endpoint_config_name)
    sm_client.delete_model(ModelName=model_name)

    iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="read")
    iam.delete_role(RoleName=role["RoleName"])
    for found in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=found["Key"])
    s3.delete_bucket(Bucket=bucket)
    return answers


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
