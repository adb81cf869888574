"""Every rule about adapters: names, archives, engine limits. No AWS CDK, so that the Lambda can hold it."""
