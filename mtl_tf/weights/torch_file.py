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

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.storages: dict[str, _Storage] = {}

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
        storage = _Storage(str(key), _DTYPES[dtype], size, view[0] if view else None)
        self.storages[storage.key] = storage
        return storage


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
        return _WithArrays(lambda key: read(f"data/{key}"), order).of(described)


def _read_legacy(file: BinaryIO) -> object:
    start = file.read(2)
    file.seek(0)
    if start and start != b"\x80\x02":  # a pickle of torch.save
        raise ValueError("it is no file of torch.save")
    if _Unpickler(file).load() != _LEGACY_MAGIC or _Unpickler(file).load() != _LEGACY_VERSION:
        raise ValueError("it is no file of torch.save")
    system = _Unpickler(file).load()
    order = "<" if system.get("little_endian", True) else ">"
    loader = _Unpickler(file, encoding="utf-8")
    described = loader.load()
    keys = _Unpickler(file, encoding="utf-8").load()
    contents: dict[str, bytes] = {}
    for key in keys:
        header, expected = file.read(8), loader.storages[key]
        size = int.from_bytes(header, "little")
        if len(header) < 8:
            raise EOFError
        if size != expected.size:
            raise ValueError(f"storage {key} has {size} elements instead of {expected.size}")
        contents[key] = file.read(size * _item_size(expected.dtype))
        if len(contents[key]) < size * _item_size(expected.dtype):
            raise EOFError
    return _WithArrays(contents.__getitem__, order).of(described)


def _item_size(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


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


class _WithArrays:
    """Replaces the tensors in nested containers by arrays; each container and storage is read once.

    Args:
        content: returns the bytes of a storage by its key.
        order: of the bytes, `"<"` or `">"`.
    """

    def __init__(self, content: Callable[[str], bytes], order: str) -> None:
        self._content = content
        self._order = order
        self._numbers: dict[str, np.ndarray] = {}
        self._done: dict[int, object] = {}

    def of(self, described: object, depth: int = 0) -> object:
        """Return a container, or what is in one, with arrays."""
        if isinstance(described, _Tensor):
            storage = described.storage
            if storage.key not in self._numbers:
                content = self._content(storage.key)
                self._numbers[storage.key] = _numbers(content, storage, self._order)
            return _array(described, self._numbers[storage.key])
        if not isinstance(described, Mapping | list | tuple):
            return described
        if depth > _MAX_DEPTH:
            raise ValueError(f"it has more than {_MAX_DEPTH} nested containers")
        if id(described) not in self._done:
            made: object
            if isinstance(described, Mapping):
                made = {k: self.of(v, depth + 1) for k, v in described.items()}
            else:
                made = type(described)([self.of(v, depth + 1) for v in described])
            self._done[id(described)] = made
        return self._done[id(described)]


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
