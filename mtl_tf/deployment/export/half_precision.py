"""Weights of a saved network in half precision: half the size of the file."""

import io
import pathlib
import zipfile

import h5py
import numpy as np

_WEIGHTS = "model.weights.h5"


def halve_weights(path: pathlib.Path) -> None:
    """Store the float32 weights in a `.keras` file as float16; loading it gives float32 again.

    Args:
        path: of the file, which is replaced.

    Raises:
        ValueError: if a weight is too large for float16; the file is unchanged then.
    """
    halved = path.with_name("halved.keras")
    halved.unlink(missing_ok=True)
    try:
        with (
            zipfile.ZipFile(path) as source,
            zipfile.ZipFile(halved, "w", zipfile.ZIP_DEFLATED) as target,
        ):
            for member in source.infolist():
                content = source.read(member)
                target.writestr(
                    member.filename, _halved(content) if member.filename == _WEIGHTS else content
                )
        halved.replace(path)
    finally:
        halved.unlink(missing_ok=True)


def _halved(content: bytes) -> bytes:
    """Return a file of weights with float16 instead of float32."""
    result = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as source, h5py.File(result, "w") as target:
        target.attrs.update(source.attrs)

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            made = (
                target.create_dataset(name, data=_as_half(item[()], name))
                if isinstance(item, h5py.Dataset)
                else target.create_group(name)
            )
            made.attrs.update(item.attrs)

        source.visititems(copy)
    return result.getvalue()


def _as_half(value: np.ndarray, name: str) -> np.ndarray:
    if value.dtype != np.float32:
        return value
    largest = np.abs(value[np.isfinite(value)]).max(initial=0.0)
    if largest > np.finfo(np.float16).max:
        raise ValueError(
            f"The weight {name} has values up to {largest:g}, more than float16 holds "
            f"({np.finfo(np.float16).max:g}): store the weights as float32"
        )
    return value.astype(np.float16)
