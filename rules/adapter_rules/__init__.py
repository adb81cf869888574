"""Rules about adapters, containers and environment files that no Lambda function needs. No AWS CDK."""
