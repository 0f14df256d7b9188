"""Tensors of a file of `torch.save`, read without PyTorch and without running code of the file.

Such a file is a pickle of dictionaries whose tensors refer to storages. In the current format it
lies in a zip archive with one member for each storage; in the one of before 2020 five pickles are
followed by the storages. A pickle can name any function to be called: this reader knows the few
names that tensors and containers need, and refuses all others.
"""

import collections
import io
import os
import pathlib
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_MAX_DEPTH = 100  # of nested containers


class _Storage(NamedTuple):
    """A one-dimensional piece of memory of the file."""

    key: str
    dtype: str
    size: int
    view: tuple[Any, ...] | None  # (key, first element, number of elements) in older files


class _Tensor(NamedTuple):
    """A tensor as the file describes it; its numbers are in the storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor:
    """A function of such files, as an object without attributes that a pickle could set."""

    __slots__ = ()

    def __call__(
        self,
        storage: _Storage,
        offset: int,
        shape: Sequence[int],
        strides: Sequence[int],
        *_unused: Any,
    ) -> _Tensor:
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _RebuildParameter:
    """As `_RebuildTensor`, of a `torch.nn.Parameter`."""

    __slots__ = ()

    def __call__(self, tensor: _Tensor, *_unused: Any) -> _Tensor:
        return tensor


_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    ("torch", "Size"): tuple,
    ("builtins", "set"): list,
    **{("torch", name): name for name in _DTYPES},
}


class _Unpickler(pickle._Unpickler):
    """Unpickler of tensors and containers; the one in Python, whose memory a file cannot fill."""

    def find_class(self, module: str, name: str) -> object:
        module = {"__builtin__": "builtins"}.get(module, module)
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, and only tensors and containers are read: save the "
                "state dictionary alone, torch.save(model.state_dict(), path)"
            )
        return _NAMES[module, name]

    def persistent_load(self, identity: tuple[Any, ...]) -> _Storage:
        kind, dtype, key, _device, size, *view = identity
        if kind != "storage" or dtype not in _DTYPES:
            raise pickle.UnpicklingError(f"it has an unknown storage {identity!r:.80}")
        return _Storage(str(key), _DTYPES[dtype], size, view[0] if view else None)


def read_torch_file(path: str | os.PathLike[str]) -> object:
    """Read the tensors of a file of `torch.save`, `.pth` or `.pt`.

    Args:
        path: of the file.

    Returns:
        What was saved, of dictionaries, lists, tuples, numbers, texts, and for tensors NumPy arrays
        (bfloat16 as float32).

    Raises:
        ValueError: if it is truncated, damaged, no such file, or holds anything else, which is
            named.
    """
    path = pathlib.Path(path)
    try:
        with path.open("rb") as file:
            is_zip = zipfile.is_zipfile(file)
            file.seek(0)
            return _read_zip(file) if is_zip else _read_legacy(file)
    except Exception as error:  # a damaged file raises almost any
        cause = "it is truncated" if isinstance(error, EOFError) else str(error)
        raise ValueError(
            f"{path} is not a checkpoint of tensors: {cause or type(error).__name__}"
        ) from error


def _read_zip(file: BinaryIO) -> object:
    with zipfile.ZipFile(file) as archive:
        members = {name.partition("/")[2]: name for name in archive.namelist()}
        if "data.pkl" not in members:
            raise ValueError("it is a zip archive without data.pkl")

        def read(name: str) -> bytes:
            info = archive.getinfo(members[name])
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{name} is compressed")
            return archive.read(info)

        order = ">" if members.get("byteorder") and read("byteorder") == b"big" else "<"
        described = _Unpickler(io.BytesIO(read("data.pkl")), encoding="utf-8").load()
        arrays: dict[str, np.ndarray] = {}

        def storage(described: _Storage) -> np.ndarray:
            if described.key not in arrays:
                content = read(f"data/{described.key}")
                arrays[described.key] = _numbers(content, described, order)
            return arrays[described.key]

        return _with_arrays(described, storage)


def _read_legacy(file: BinaryIO) -> object:
    if _Unpickler(file).load() != _LEGACY_MAGIC or _Unpickler(file).load() != _LEGACY_VERSION:
        raise ValueError("it is no file of torch.save")
    system = _Unpickler(file).load()
    order = "<" if system.get("little_endian", True) else ">"
    loader = _Unpickler(file, encoding="utf-8")
    described = loader.load()
    keys = _Unpickler(file, encoding="utf-8").load()
    contents: dict[str, bytes] = {}
    sizes = _storage_sizes(described)
    for key in keys:
        size = int.from_bytes(file.read(8), "little")
        if size != sizes[key].size:
            raise ValueError(f"storage {key} has {size} elements instead of {sizes[key].size}")
        contents[key] = file.read(size * _item_size(sizes[key].dtype))
    arrays: dict[str, np.ndarray] = {}

    def storage(described: _Storage) -> np.ndarray:
        if described.key not in arrays:
            arrays[described.key] = _numbers(contents[described.key], described, order)
        return arrays[described.key]

    return _with_arrays(described, storage)


def _item_size(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _storage_sizes(described: object, depth: int = 0) -> dict[str, _Storage]:
    """Return the storages of all tensors in nested containers, by key."""
    if isinstance(described, _Tensor):
        return {described.storage.key: described.storage}
    if depth > _MAX_DEPTH:
        raise ValueError(f"it has more than {_MAX_DEPTH} nested containers")
    parts: Any = ()
    if isinstance(described, Mapping):
        parts = described.values()
    elif isinstance(described, list | tuple):
        parts = described
    storages: dict[str, _Storage] = {}
    for part in parts:
        storages.update(_storage_sizes(part, depth + 1))
    return storages


def _numbers(content: bytes, storage: _Storage, order: str) -> np.ndarray:
    """Return the elements of a storage; bfloat16 as float32."""
    item_size = _item_size(storage.dtype)
    if len(content) != storage.size * item_size:
        raise ValueError(
            f"storage {storage.key} has {len(content)} bytes instead of {storage.size * item_size}"
        )
    if storage.dtype != "bfloat16":
        numbers = np.frombuffer(content, f"{order}{storage.dtype}")
        return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    upper_halves = np.frombuffer(content, f"{order}u2").astype(np.uint32)
    return (upper_halves << 16).view(np.float32)


def _with_arrays(
    described: object, storage: Callable[[_Storage], np.ndarray], depth: int = 0
) -> object:
    """Replace the tensors in nested containers by arrays."""
    if isinstance(described, _Tensor):
        return _array(described, storage(described.storage))
    if depth > _MAX_DEPTH:
        raise ValueError(f"it has more than {_MAX_DEPTH} nested containers")
    if isinstance(described, Mapping):
        return {k: _with_arrays(v, storage, depth + 1) for k, v in described.items()}
    if isinstance(described, list | tuple):
        return type(described)([_with_arrays(v, storage, depth + 1) for v in described])
    return described


def _array(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    """Return the view of a storage that a tensor is."""
    if tensor.storage.view is not None:
        _, first, size = tensor.storage.view
        numbers = numbers[first : first + size]
    shape, strides = tensor.shape, tensor.strides
    sizes = [tensor.offset, *shape, *strides]
    is_valid = len(shape) == len(strides) and all(type(n) is int and n >= 0 for n in sizes)
    count = 0 if 0 in shape else 1
    last = tensor.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=False))
    if not is_valid or (count and last >= numbers.size):
        raise ValueError(f"a tensor of shape {shape} leaves its storage")
    if not count:
        return np.zeros(shape, numbers.dtype)
    steps = [s * numbers.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], shape, steps, writeable=False)
