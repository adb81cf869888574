"""An endpoint with adapters, made by hand in boto3: the workflow of AWS's post on multi-adapter inference.

Nothing of this library is in it. It is what the constructs replace, and it shows that the embedded cloud is
SageMaker to any client.

    python notebook.py            make everything, ask, update an adapter, delete everything
    python notebook.py create     make everything and ask, as app.py expects it
    python notebook.py delete     delete what is left
"""

import json
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

TICKETS = Path(__file__).resolve().parents[1] / "tickets"
PROMPT = json.loads((TICKETS / "prompts.json").read_text())[0]["prompt"]
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.36.0-lmi28.0.0-cu130"

# Model, endpoint configuration, endpoint and role have this name; components begin with it.
NAME = "notebook"
BASE, SUMMARY, SHOUT = f"{NAME}-base", f"{NAME}-summary", f"{NAME}-shout"

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


def bucket_name() -> str:
    """Return the name of the bucket, which has the account's id in it."""
    return f"{NAME}-{boto3.client('sts').get_caller_identity()['Account']}"


def upload_adapter(directory: Path, key: str) -> str:
    """Pack a directory's files at the root of a `.tar.gz`, put it into the bucket, and return its URI."""
    bucket = bucket_name()
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


def invoke(component: str) -> str:
    """Ask one component for the whole answer, in the body format of the LMI container."""
    response = sm_rt_client.invoke_endpoint(
        EndpointName=NAME,
        InferenceComponentName=component,
        Body=json.dumps({"inputs": PROMPT, "parameters": {"max_new_tokens": 60, "temperature": 0}}),
        ContentType="application/json",
    )
    return str(json.loads(response["Body"].read())["generated_text"])


def stream(component: str) -> str:
    """Ask one component for a streamed answer, and print how many parts it has."""
    response = sm_rt_client.invoke_endpoint_with_response_stream(
        EndpointName=NAME,
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


def create_role() -> str:
    """Create the execution role, which may read the bucket, and return its ARN."""
    role = iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(ROLE_TRUST))["Role"]
    bucket = bucket_name()
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
    iam.put_role_policy(RoleName=NAME, PolicyName="read", PolicyDocument=json.dumps(reads))
    return str(role["Arn"])


def create_endpoint() -> None:
    """Upload the base model, and create the endpoint with the component of the base model."""
    bucket = bucket_name()
    if (region := s3.meta.region_name) == "us-east-1":
        s3.create_bucket(Bucket=bucket)
    else:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    for file in sorted((TICKETS / "base").iterdir()):
        s3.upload_file(str(file), bucket, f"models/tickets/{file.name}")

    role_arn = create_role()
    sm_client.create_model(
        ModelName=NAME,
        ExecutionRoleArn=role_arn,
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
        EndpointConfigName=NAME,
        ExecutionRoleArn=role_arn,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "InstanceType": "ml.g5.12xlarge",
                "InitialInstanceCount": 1,
                "InferenceAmiVersion": "al2023-ami-sagemaker-inference-gpu-4-1",
                "ModelDataDownloadTimeoutInSeconds": 900,
                "ContainerStartupHealthCheckTimeoutInSeconds": 900,
                "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
            }
        ],
    )
    sm_client.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    sm_client.get_waiter("endpoint_in_service").wait(EndpointName=NAME, WaiterConfig={"Delay": 1})

    sm_client.create_inference_component(
        InferenceComponentName=BASE,
        EndpointName=NAME,
        VariantName="AllTraffic",
        Specification={
            "ModelName": NAME,
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
    wait_for_component(BASE, "InService")


def create_adapter(name: str, directory: Path) -> None:
    """Upload an adapter, and create its component."""
    uri = upload_adapter(directory, f"adapters/{name}-1.tar.gz")
    sm_client.create_inference_component(
        InferenceComponentName=name,
        EndpointName=NAME,
        Specification={"BaseInferenceComponentName": BASE, "Container": {"ArtifactUrl": uri}},
    )
    wait_for_component(name, "InService")


def create() -> dict[str, str]:
    """Create everything, and return what base and adapters answer."""
    create_endpoint()
    create_adapter(SUMMARY, TICKETS / "adapters" / "summary")
    create_adapter(SHOUT, TICKETS / "adapters" / "shout")
    return {
        "base": invoke(BASE),
        "summary": invoke(SUMMARY),
        "shout": invoke(SHOUT),
        "streamed base": stream(BASE),
        "streamed summary": stream(SUMMARY),
    }


def update() -> dict[str, str]:
    """Update an adapter to its second version, and return what it answers."""
    uri = upload_adapter(TICKETS / "adapters-v2" / "summary", f"adapters/{SUMMARY}-2.tar.gz")
    sm_client.update_inference_component(
        InferenceComponentName=SUMMARY, Specification={"Container": {"ArtifactUrl": uri}}
    )
    wait_for_component(SUMMARY, "InService")
    # A failed update ends in service too, on the artifact before, so the status alone proves nothing.
    updated = sm_client.describe_inference_component(InferenceComponentName=SUMMARY)
    if (deployed := updated["Specification"]["Container"].get("ArtifactUrl")) != uri:
        raise RuntimeError(f"{SUMMARY} still has {deployed}: {updated.get('FailureReason')}")
    return {"updated summary": invoke(SUMMARY)}


def delete() -> None:
    """Delete the adapters that are left, and everything else."""
    for name in (SUMMARY, SHOUT, BASE):
        if component_status(name) is not None:
            sm_client.delete_inference_component(InferenceComponentName=name)
            wait_for_component(name, None)
    sm_client.delete_endpoint(EndpointName=NAME)
    sm_client.get_waiter("endpoint_deleted").wait(EndpointName=NAME, WaiterConfig={"Delay": 1})
    sm_client.delete_endpoint_config(EndpointConfigName=NAME)
    sm_client.delete_model(ModelName=NAME)

    iam.delete_role_policy(RoleName=NAME, PolicyName="read")
    iam.delete_role(RoleName=NAME)
    bucket = bucket_name()
    for found in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=found["Key"])
    s3.delete_bucket(Bucket=bucket)


def main(command: str = "all") -> None:
    """Run the steps of a command, and print the answers."""
    if command == "delete":
        delete()
        return
    answers = create()
    if command == "all":
        answers |= update()
        delete()
    print(json.dumps(answers, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
