"""The deployed stage: components beside those of the stack, and who answers for each."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from adapter_rules.archives.packing import pack
from tests.aws.app import TICKETS

ROOT = Path(__file__).resolve().parents[2]
STACK = "Questions"
PROMPTS = [str(one["prompt"]) for one in json.loads((TICKETS / "prompts.json").read_text())[:8]]
IN_TRANSITION = ("_IN_PROGRESS", "while it is in", "in status", "in state", "Rate exceeded")
"""How a write is refused that has to wait for another one [T]."""
DIRECTORIES = {
    "summary": TICKETS / "adapters" / "summary",
    "triage": TICKETS / "adapters" / "triage",
    "shout": TICKETS / "adapters" / "shout",
}


class Stage:
    """One stack in one account.

    variables:
        The environment of the CDK command line and of boto3.
    poll_seconds:
        How often what changes is looked at.
    patience_seconds:
        How long metrics and logs may be late.
    """

    def __init__(
        self,
        *,
        variables: Mapping[str, str],
        container: str,
        out: Path,
        poll_seconds: float,
        patience_seconds: float,
    ) -> None:
        self._variables, self._out = variables, out
        self.container, self._poll_seconds, self.patience_seconds = container, poll_seconds, patience_seconds
        self.session = boto3.Session(
            aws_access_key_id=variables.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=variables.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=variables.get("AWS_SESSION_TOKEN"),
            region_name=variables.get("AWS_DEFAULT_REGION"),
        )
        self.sagemaker, self.runtime = self.client("sagemaker"), self.client("sagemaker-runtime")
        self.began = time.time()
        self.run = uuid.uuid4().hex[:8]
        self.texts: dict[str, list[str]] = {}
        self._made: list[str] = []

    def client(self, service: str) -> Any:
        """Return a client that never repeats a call, so that a refusal shows as one."""
        config = Config(retries={"total_max_attempts": 1}, read_timeout=70, max_pool_connections=20)
        make: Any = self.session.client  # its types want each service by its name
        return make(service, endpoint_url=self._variables.get("AWS_ENDPOINT_URL"), config=config)

    # --- the stack

    def deploy(self, *, start_seconds: int = 900) -> None:
        """Deploy the stack, or update the base model in it."""
        context = ["-c", f"container={self.container}", "-c", f"start_seconds={start_seconds}"]
        outputs = self._out / "outputs.json"
        self._cdk("deploy", *context, "--require-approval", "never", "--outputs-file", str(outputs))
        deployed = json.loads(outputs.read_text())[STACK]
        self.bucket, self.endpoint, self.base = (deployed[name] for name in ("Bucket", "Endpoint", "Base"))
        self.adapters = {"summary": deployed["SummaryComponent"], "triage": deployed["TriageComponent"]}
        self._kept = {self.base, *self.adapters.values()}

    def learn(self) -> None:
        """Record what base and adapters of the stack answer: by these texts one tells who answers."""
        for label, component in {"base": self.base, **self.adapters}.items():
            self.texts[label] = [self.ask(component, prompt) for prompt in PROMPTS]

    def destroy(self) -> None:
        """Delete what the tests made, then the stack."""
        # Noted when made: the listing may not show the last ones yet, and a base keeps its adapters.
        made = {*self._made, *self.listed()} - self._kept
        for name in sorted(made, key=lambda name: "-base-" in name):
            self.until(partial(self._delete, name), f"{name} is gone")
        s3 = self.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for item in page.get("Contents", []):
                s3.delete_object(Bucket=self.bucket, Key=item["Key"])
        self._cdk("destroy", "--force", "-c", f"container={self.container}", "-c", "start_seconds=900")

    def _delete(self, name: str) -> bool:
        self.attempt(self.sagemaker.delete_inference_component, InferenceComponentName=name)
        return self.status(name) is None

    def bootstrap(self) -> None:
        """Prepare the account for the CDK, which the embedded cloud's is not yet."""
        account = self.client("sts").get_caller_identity()["Account"]
        self._cdk("bootstrap", f"aws://{account}/{self.session.region_name}", app=False)

    def _cdk(self, *arguments: str, app: bool = True) -> None:
        options = ["--app", f"{sys.executable} -m tests.aws.app"] if app else []
        subprocess.run(
            ["cdk", *arguments, *options, "--output", str(self._out / "cdk.out"), "--no-notices"],
            cwd=ROOT,
            env={**self._variables, "CDK_HOME": str(self._out / "home"), "CDK_VALIDATION": "false"},
            check=True,
        )

    # --- components

    def archive(self, label: str) -> str:
        """Upload an adapter and return its address; "missing" has no archive."""
        key = f"{label}-{self.run}.tar.gz"
        if label != "missing":
            with TemporaryDirectory() as folder:
                packed = pack(DIRECTORIES[label], Path(folder) / key)
                self.client("s3").upload_file(str(packed.path), self.bucket, key)
        return f"s3://{self.bucket}/{key}"

    def creation(self, name: str, label: str = "summary", base: str | None = None) -> dict[str, Any]:
        """Return the request that creates an adapter component."""
        self._made.append(f"{name}-{self.run}")
        return {
            "InferenceComponentName": self._made[-1],
            "EndpointName": self.endpoint,
            "Specification": {
                "BaseInferenceComponentName": base or self.base,
                "Container": {"ArtifactUrl": self.archive(label)},
            },
        }

    def create(self, name: str, label: str = "summary", base: str | None = None) -> str:
        """Create an adapter component, wait until it serves, and return its name."""
        request = self.creation(name, label, base)
        self.written(self.sagemaker.create_inference_component, **request)
        self.in_service(request["InferenceComponentName"])
        return str(request["InferenceComponentName"])

    def update(self, component: str, label: str) -> None:
        """Update an adapter component in place, and wait until it is in service again."""
        container = {"Container": {"ArtifactUrl": self.archive(label)}}
        update = self.sagemaker.update_inference_component
        self.written(update, InferenceComponentName=component, Specification=container)
        self.in_service(component)

    def create_base(self, name: str, *, copies: int = 1) -> dict[str, Any]:
        """Return the request that creates a further base component of the same model."""
        specification = self.described(self.base)["Specification"]
        self._made.append(f"{name}-base-{self.run}")
        return {
            "InferenceComponentName": self._made[-1],
            "EndpointName": self.endpoint,
            "VariantName": self.described(self.base)["VariantName"],
            "Specification": {
                "ModelName": specification["ModelName"],
                "ComputeResourceRequirements": specification["ComputeResourceRequirements"],
            },
            "RuntimeConfig": {"CopyCount": copies},
        }

    def scale(self, copies: int) -> None:
        """Change the copies of the base model, and wait until they are there."""
        self.written(
            self.sagemaker.update_inference_component_runtime_config,
            InferenceComponentName=self.base,
            DesiredRuntimeConfig={"CopyCount": copies},
        )
        self.settled(self.base)
        assert self.copies() == copies

    def copies(self) -> int:
        """Return how many copies the base model has."""
        return int(self.described(self.base)["RuntimeConfig"]["CurrentCopyCount"])

    def attempt(self, call: Callable[..., Any], **request: Any) -> str:
        """Make a call, and return how it was answered: "accepted", or the refusal's code and words."""
        try:
            call(**request)
        except ClientError as error:
            return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
        return "accepted"

    def written(self, call: Callable[..., Any], **request: Any) -> None:
        """Make a write as soon as nothing in transition stands in its way."""

        def accepted() -> bool:
            answer = self.attempt(call, **request)
            assert answer == "accepted" or any(words in answer for words in IN_TRANSITION), answer
            return answer == "accepted"

        self.until(accepted, "a write is accepted")

    def described(self, component: str) -> dict[str, Any]:
        """Return the description of a component."""
        found: dict[str, Any] = self.sagemaker.describe_inference_component(InferenceComponentName=component)
        return found

    def status(self, component: str) -> str | None:
        """Return a component's status, None if there is none."""
        try:
            return str(self.described(component)["InferenceComponentStatus"])
        except ClientError as error:
            if "could not find" in str(error).lower():
                return None
            raise

    def in_service(self, component: str) -> None:
        """Wait until a component is in service."""
        self.settled(component)
        found = self.described(component)
        assert found["InferenceComponentStatus"] == "InService", found.get("FailureReason")

    def settled(self, component: str) -> None:
        """Wait until a component is in no transition."""
        moving = ("Creating", "Updating", "Deleting")
        self.until(lambda: self.status(component) not in moving, f"{component} is settled")

    def listed(self) -> list[str]:
        """Return the names of the endpoint's components in the listing."""
        pages = self.sagemaker.get_paginator("list_inference_components").paginate(
            EndpointNameEquals=self.endpoint
        )
        return [item["InferenceComponentName"] for page in pages for item in page["InferenceComponents"]]

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 1800) -> bool:
        """Wait until something holds; TimeoutError if it does not."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:.0f} s in vain until {what}")
            time.sleep(self._poll_seconds)
        return True

    def late(self, holds: Callable[[], bool]) -> bool:
        """Wait for a metric or a log, which are late, and return whether it came."""
        try:
            return self.until(holds, "it is published", self.patience_seconds)
        except TimeoutError:
            return False

    # --- asking

    def ask(self, component: str, prompt: str, **members: Any) -> str:
        """Return a component's text to a prompt. members are added to the request's body."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=self.endpoint,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=json.dumps({"prompt": prompt, "max_tokens": 40, "temperature": 0, **members}),
        )
        return str(json.loads(answer["Body"].read())["choices"][0]["text"])

    def who(self, component: str, **members: Any) -> str:
        """Return whose text a component answers: base, summary, triage, another text, or an error."""
        try:
            text = self.ask(component, PROMPTS[0], **members)
        except ClientError as error:
            return f"error {error.response['Error']['Code']}"
        return next((label for label, texts in self.texts.items() if texts[0] == text), "another text")

    def many(self, component: str) -> list[str]:
        """Ask a component often, so that every copy is among those that answer; return who did."""
        return sorted({self.who(component) for _ in range(40)})

    @contextmanager
    def watched(self, component: str) -> Iterator[list[str]]:
        """Ask a component over and over meanwhile, and list who answers, one after the other."""
        seen: list[str] = []
        ended = Event()

        def watch() -> None:
            while not ended.wait(0.05):
                who = self.who(component)
                if seen[-1:] != [who]:
                    seen.append(who)

        thread = Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()
