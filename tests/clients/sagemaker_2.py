"""The SageMaker Python SDK 2: an endpoint with a base, as `Model.deploy` makes it, and an adapter on it."""

from sagemaker.compute_resource_requirements.resource_requirements import ResourceRequirements
from sagemaker.deserializers import JSONDeserializer
from sagemaker.enums import EndpointType
from sagemaker.iterators import LineIterator
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import JSONSerializer
from sagemaker.session import Session

from tests.clients.calls import Calls

NAME, BASE, ADAPTER = "by-sdk-2", "by-sdk-2-base", "by-sdk-2-triage"


class Script:
    def __init__(self, calls: Calls) -> None:
        self.calls, self.given = calls, calls.given
        self.session = Session()

    def run(self) -> None:
        self.read_fleet()
        predictor = self.deploy()
        self.adapter()
        self.delete(predictor)

    def predictor(self, endpoint: str, component: str) -> Predictor:
        return Predictor(
            endpoint,
            self.session,
            serializer=JSONSerializer(),
            deserializer=JSONDeserializer(),
            component_name=component,
        )

    def ask(self, predictor: Predictor, adapter: str) -> None:
        self.calls.check(adapter, predictor.predict(self.calls.body())["generated_text"])

    def read_fleet(self) -> None:
        calls, endpoint = self.calls, self.given["endpoint"]
        for adapter in ("base", "triage"):
            predictor = self.predictor(endpoint, calls.component(adapter))
            with calls.call(f"Predictor.predict ({adapter})"):
                self.ask(predictor, adapter)
            with calls.call(f"Predictor.predict_stream ({adapter})"):
                stream = predictor.predict_stream(calls.body(stream=True), iterator=LineIterator)
                calls.check(adapter, calls.text_of_lines(stream))
        with calls.call("Predictor.list_related_models"):
            found, _ = predictor.list_related_models()
            if len(found) != 1 + len(self.given["adapters"]):
                raise ValueError(f"there should be the base and its adapters, got {found}")

    def deploy(self) -> Predictor:
        calls, given = self.calls, self.given
        model = Model(
            given["image"],
            role=given["role"],
            env=given["environment"],
            name=NAME,
            predictor_cls=Predictor,
            sagemaker_session=self.session,
        )
        with calls.call("Model.deploy (inference component)"):
            model.deploy(
                initial_instance_count=1,
                instance_type="ml.g5.2xlarge",
                endpoint_name=NAME,
                endpoint_type=EndpointType.INFERENCE_COMPONENT_BASED,
                inference_component_name=BASE,
                resources=self.resources(),
                tags=[{"Key": "team", "Value": "blue"}],
            )
        predictor = self.predictor(NAME, BASE)
        with calls.call("Predictor.predict (deployed base)"):
            self.ask(predictor, "base")
        with calls.call("Predictor.update_predictor"):
            predictor.update_predictor(model_name=NAME, resources=self.resources())
            self.ask(predictor, "base")
        return predictor

    @staticmethod
    def resources() -> ResourceRequirements:
        return ResourceRequirements(requests={"num_accelerators": 1, "memory": 1024, "copies": 1})

    def adapter(self) -> None:
        calls, session, archives = self.calls, self.session, self.given["archives"]
        specification = {"BaseInferenceComponentName": BASE, "Container": {"ArtifactUrl": archives["triage"]}}
        with calls.call("Session.create_inference_component (adapter)"):
            session.create_inference_component(ADAPTER, NAME, "AllTraffic", specification)
        with calls.call("Session.wait_for_inference_component (adapter)"):
            session.wait_for_inference_component(ADAPTER)
            self.ask(self.predictor(NAME, ADAPTER), "triage")
        update = {"Container": {"ArtifactUrl": archives["shout"]}}
        with calls.call("Session.update_inference_component (adapter)"):
            session.update_inference_component(ADAPTER, update)
            self.ask(self.predictor(NAME, ADAPTER), "shout")
        with calls.call("Session.update_inference_component (adapter, with runtime_config)"):
            session.update_inference_component(ADAPTER, update, {"CopyCount": 1})
            self.ask(self.predictor(NAME, ADAPTER), "shout")
        with calls.call("Session.delete_inference_component (adapter)"):
            session.delete_inference_component(ADAPTER, wait=True)

    def delete(self, predictor: Predictor) -> None:
        calls, session = self.calls, self.session
        with calls.call("Predictor.delete_predictor"):
            predictor.delete_predictor(wait=True)
        with calls.call("Session.delete_endpoint"):
            session.delete_endpoint(NAME)
            session.sagemaker_client.get_waiter("endpoint_deleted").wait(EndpointName=NAME)
        with calls.call("Session.delete_endpoint_config"):
            session.delete_endpoint_config(NAME)
        with calls.call("Session.delete_model"):
            session.delete_model(NAME)


if __name__ == "__main__":
    Script(Calls()).run()
