"""Attention keys and values of the batch: a row for each running request."""

import numpy as np

from local_sagemaker.model_server.llama_config import LlamaConfig
from local_sagemaker.model_server.tensors import Array


class KeyValueCache:
    """Keys and values of every row at every position; writing a position allocates its memory."""

    def __init__(self, config: LlamaConfig, *, rows: int, length: int) -> None:
        shape = (config.layers, rows, config.key_value_heads, length, config.head_size)
        self.keys = np.zeros(shape, np.float32)
        self.values = np.zeros(shape, np.float32)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first positions of one row over another row."""
        self.keys[:, target, :, :length] = self.keys[:, source, :, :length]
        self.values[:, target, :, :length] = self.values[:, source, :, :length]

    def read(self, row: int, start: int, end: int) -> tuple[Array, Array]:
        """Copy some positions of a row: keys and values [layer, head, position, size]."""
        return self.keys[:, row, :, start:end].copy(), self.values[:, row, :, start:end].copy()

    def write(self, row: int, start: int, keys: Array, values: Array) -> None:
        """Overwrite positions of a row with what `read` returned."""
        end = start + keys.shape[2]
        self.keys[:, row, :, start:end] = keys
        self.values[:, row, :, start:end] = values
