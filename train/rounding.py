"""Rounding to q5_0 that makes up for its own errors (GPTQ: Frantar et al. 2022, "GPTQ: Accurate Post-Training
Quantization for Generative Pre-trained Transformers", section 3).

Where the rows of a matrix are no multiple of 256, q4_k_m falls back to q5_0, which llama.cpp rounds number by number.
Here each column is rounded in turn, and the columns that are still to come are moved so that the layer's output on
training questions changes least. The result lies on the grid that llama.cpp finds in it, so that its own quantiser
stores it as it is: scale and numbers are chosen here, the file is written there.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BLOCK = 32
LOWEST, HIGHEST = -16, 15
"""Numbers of a q5_0 block; the one with the greatest magnitude is stored as LOWEST."""
DAMPING = 0.01
"""Added to the diagonal, as a share of its mean: columns that no row reached would have no inverse."""


def fallen_back(quantized: Path) -> list[str]:
    """The tensors of a q4_k_m file that are q5_0."""
    from gguf import GGMLQuantizationType, GGUFReader

    return [t.name for t in GGUFReader(quantized).tensors if t.tensor_type == GGMLQuantizationType.Q5_0]


def on_grid(weights: Any, moments: Any) -> Any:
    """Matrix (rows, columns) -> the same on q5_0's grid, float32. `moments` are the mean products of the layer's
    inputs, shape (columns, columns)."""
    import numpy as np

    size = weights.shape[1]
    damped = moments.astype(np.float64) + DAMPING * max(float(np.diag(moments).mean()), 1e-12) * np.eye(size)
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T  # upper: row j says how the error of column j spreads
    left = weights.astype(np.float64).copy()
    rows = np.arange(len(left))
    for start in range(0, size, BLOCK):
        block, stop = left[:, start:start + BLOCK], start + BLOCK
        peak = np.abs(block).argmax(1)
        scale = (block[rows, peak] / LOWEST).astype(np.float16).astype(np.float64)
        divisor = np.where(scale == 0, 1, scale)
        errors = np.zeros_like(block)
        for place in range(BLOCK):
            at = start + place
            number = np.clip(np.rint(block[:, place] / divisor), LOWEST, HIGHEST)
            number[peak == place] = LOWEST
            errors[:, place] = (block[:, place] - number * scale) / factor[at, at]
            block[:, place + 1:] -= np.outer(errors[:, place], factor[at, at + 1:stop])
            block[:, place] = number * scale
        left[:, stop:] -= errors @ factor[start:stop, stop:]
    return left.astype(np.float32)


def adjust(exact: Path, moments: Mapping[str, Any], out: Path) -> Path:
    """Write the float16 GGUF `exact` with the tensors that `moments` names on q5_0's grid."""
    import numpy as np
    from gguf import GGUFReader

    shutil.copyfile(exact, out)
    for tensor in GGUFReader(out, "r+").tensors:
        if tensor.name in moments:
            tensor.data[:] = on_grid(np.array(tensor.data, np.float32), moments[tensor.name]).astype(np.float16)
    return out
