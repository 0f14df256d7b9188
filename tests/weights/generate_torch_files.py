"""Writes `torch_files.npz`: small files of `torch.save`, and the tensors that PyTorch reads.

    python tests/weights/generate_torch_files.py      # needs PyTorch

Tests then check the reader without PyTorch.
"""

import collections
import io
import pathlib

import numpy as np
import torch


def contents() -> dict[str, object]:
    """What is saved, by name."""
    torch.manual_seed(0)
    numbers = torch.randn(2, 3, 4)
    shared = torch.arange(12, dtype=torch.float32)
    return {
        "plain": collections.OrderedDict(a=numbers, b=torch.arange(5)),
        "dtypes": {
            str(dtype).removeprefix("torch."): (10 * torch.randn(3, 2)).to(dtype)
            for dtype in (
                *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64),
                *(torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
            )
        },
        "strided": {"transposed": numbers.transpose(0, 2), "slice": numbers[:, 1:, ::2]},
        "shared": {"rows": shared.view(3, 4), "tail": shared[5:], "same": shared.view(4, 3)},
        "sizes": {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "one": torch.ones(1)},
        "parameters": {"weight": torch.nn.Parameter(numbers)},
        "nested": {
            "model": {"state_dict": {"x": numbers[0]}},
            "epoch": 3,
            "best": [1.5, None, True, ("a", torch.Size([2, 3]))],
        },
        "module": torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)
        ).state_dict(),
    }


def flat(value: object, path: str = "") -> dict[str, np.ndarray]:
    """The tensors in nested containers by path."""
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        return {path: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()}
    items = value.items() if isinstance(value, dict) else ()
    return {k: v for name, part in items for k, v in flat(part, f"{path}/{name}").items()}


def main() -> None:
    """Write the file."""
    arrays: dict[str, np.ndarray] = {}
    for name, content in contents().items():
        for form, is_zip in (("zip", True), ("legacy", False)):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=is_zip)
            arrays[f"{name}|{form}"] = np.frombuffer(buffer.getvalue(), np.uint8)
            buffer.seek(0)
            for path, array in flat(torch.load(buffer, weights_only=True)).items():
                arrays[f"{name}|{form}|{path}"] = array
    np.savez_compressed(pathlib.Path(__file__).with_name("torch_files.npz"), **arrays)


if __name__ == "__main__":
    main()
