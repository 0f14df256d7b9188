"""The dtypes that ops take, by name."""

import ml_dtypes
import numpy as np

DTYPES = {
    "float64": np.float64,
    "float32": np.float32,
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
}


def epsilon(dtype):
    return float(ml_dtypes.finfo(dtype).eps)
