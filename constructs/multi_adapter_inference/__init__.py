"""Constructs that put one base model and many LoRA adapters on a SageMaker endpoint."""
