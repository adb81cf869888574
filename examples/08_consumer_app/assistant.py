"""The application: it asks the adapter of a tenant."""

import json

import boto3


def answer(question: str, *, endpoint: str, component: str) -> str:
    """Return what the adapter of a component answers."""
    response = boto3.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint,
        InferenceComponentName=component,
        ContentType="application/json",
        Body=json.dumps({"prompt": question, "max_tokens": 128, "temperature": 0}),
    )
    return str(json.loads(response["Body"].read())["choices"][0]["text"])
