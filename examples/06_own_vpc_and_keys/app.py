"""An endpoint and a fleet in a VPC, with a KMS key and a log retention of your own."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Size, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from multi_adapter_inference import (
    AdapterManifest,
    BaseModel,
    ComputeRequirements,
    FunctionHosting,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)

HERE = Path(__file__).resolve().parent
ADDRESSES = "10.0.0.0/16"

# What the functions of a fleet call (docs/guides/security.md). A NAT gateway would do as well.
SERVICES = {
    "SageMaker": ec2.InterfaceVpcEndpointAwsService.SAGEMAKER_API,
    "Runtime": ec2.InterfaceVpcEndpointAwsService.SAGEMAKER_RUNTIME,
    "StepFunctions": ec2.InterfaceVpcEndpointAwsService.STEP_FUNCTIONS,
    "Lambda": ec2.InterfaceVpcEndpointAwsService.LAMBDA_,
    "CloudFormation": ec2.InterfaceVpcEndpointAwsService.CLOUDFORMATION,
}


class Private(Stack):
    """A VPC without a way to the internet, a key, and a fleet that uses both."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        vpc = ec2.Vpc(
            self,
            "Network",
            ip_addresses=ec2.IpAddresses.cidr(ADDRESSES),
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
                )
            ],
        )
        # Of the functions and of the endpoints of the services that they call.
        group = ec2.SecurityGroup(self, "Functions", vpc=vpc)
        group.add_ingress_rule(ec2.Peer.ipv4(ADDRESSES), ec2.Port.HTTPS)
        vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        vpc.add_gateway_endpoint("DynamoDb", service=ec2.GatewayVpcEndpointAwsService.DYNAMODB)
        for name, service in SERVICES.items():
            vpc.add_interface_endpoint(name, service=service, security_groups=[group], open=False)
        key = kms.Key(self, "Key", enable_key_rotation=True)

        endpoint = MultiAdapterEndpoint(
            self,
            "Llm",
            base_model=BaseModel.from_directory(HERE.parent / "tickets" / "base"),
            container=LmiContainer(version=LmiVersion.V28),
            lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
            # Hardware encrypts its disks, which take no key of yours.
            instance_type=InstanceType.ML_G5_2XLARGE,
            compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
            vpc=vpc,
            security_groups=[group],
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
        fleet = endpoint.add_fleet(
            "Tenants",
            manifest=AdapterManifest.from_file(HERE / "adapters.yaml"),
            functions=FunctionHosting(
                vpc=vpc,
                security_groups=[group],
                encryption_key=key,
                log_retention=logs.RetentionDays.ONE_YEAR,
            ),
        )
        CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        CfnOutput(self, "Summary", value=fleet.summary)


if __name__ == "__main__":
    app = App()
    Private(app, "Private")
    app.synth()
