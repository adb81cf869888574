"""A small model server that speaks the SageMaker container protocol and needs neither torch nor a GPU.

It serves a Llama-style base model and PEFT LoRA adapters with NumPy: real safetensors weights, concurrent
requests in one batch whatever their adapters, adapters in three tiers as an LMI container keeps them. It
stands in for the LMI image on the embedded cloud; a model of some million parameters answers in milliseconds.

`python -m local_sagemaker.model_server --model-dir DIR --port PORT`, with the environment variables that an
LMI container reads (see `settings`).
"""
