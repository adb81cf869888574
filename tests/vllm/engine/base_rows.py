"""The plugin that lets vLLM on a CPU answer for the base beside adapters.

vLLM's CPU operators index the stacked weights with -1 for a row without an adapter, which is the last slot
[V, vLLM 0.32.0 `lora/ops/torch_ops/lora_ops.py`; vLLM pull requests 48421 and 49656]. In a batch with
adapters, the base is then answered with another adapter's weights. The plugin sets what such rows put into
the second half of the adapter to zero, so that they change nothing.

vLLM loads plugins in each of its processes, by an entry point that `tests.vllm.environment` writes. Without
the name in VLLM_PLUGINS, the plugin does nothing.
"""

import os
from typing import Any

PLUGIN = "local_sagemaker_base_rows"
"""Name of the entry point."""

GROUP = "vllm.general_plugins"
"""Group of the entry point."""


def register() -> None:
    """Apply the correction in this process; RuntimeError if this vLLM is of another shape.

    vLLM lets the exception end the process.
    """
    if PLUGIN not in os.environ.get("VLLM_PLUGINS", "").split(","):
        return
    from vllm.lora.ops import torch_ops
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    original = getattr(lora_ops, "bgmv_shrink", None)
    if original is None:
        raise RuntimeError("vLLM should have 'bgmv_shrink' in vllm/lora/ops/torch_ops/lora_ops.py")
    # `sgmv_shrink` finds it in its own module; the wrapper has imported it by name.
    for module in (lora_ops, torch_ops, punica_cpu):
        module.bgmv_shrink = without_base_rows(original)
    if not leaves_base_rows_alone(punica_cpu.bgmv_shrink, punica_cpu.sgmv_shrink):
        raise RuntimeError("vLLM should leave rows without an adapter alone once it is corrected")


def without_base_rows(shrink: Any) -> Any:
    """Return the operator with zeros in the rows of the base, whose index is negative."""

    def corrected(
        inputs: Any, weights: Any, output_tensor: Any, lora_indices_tensor: Any, scaling: float = 1.0
    ) -> None:
        shrink(inputs, weights, output_tensor, lora_indices_tensor, scaling)
        base = lora_indices_tensor[: output_tensor.shape[0]] < 0
        output_tensor.masked_fill_(base.unsqueeze(-1), 0)

    return corrected


def leaves_base_rows_alone(bgmv_shrink: Any, sgmv_shrink: Any) -> bool:
    """Whether both operators give zeros for the base and something else for an adapter."""
    import torch

    inputs, weights, indices = torch.ones(2, 4), torch.ones(1, 3, 4), torch.tensor([-1, 0])
    decoded, prefilled = torch.ones(2, 3), torch.ones(2, 3)
    bgmv_shrink(inputs, weights, decoded, indices, 1.0)
    lengths = torch.tensor([1, 1])
    sgmv_shrink(inputs, weights, prefilled, torch.tensor([0, 1]), lengths, indices, 2, 1, 2, 1.0)
    return all(bool((rows[0] == 0).all() and (rows[1] == 4).all()) for rows in (decoded, prefilled))
