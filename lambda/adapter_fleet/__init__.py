"""What runs in Lambda, and the code of callers that read its table. No AWS CDK."""
