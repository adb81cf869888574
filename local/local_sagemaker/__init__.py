"""An embedded cloud: SageMaker multi-adapter inference on a laptop, behind the real AWS APIs."""
