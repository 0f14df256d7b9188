"""Files of `torch.save` are read without PyTorch, bit for bit, and nothing in them is run."""

import io
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from mtl_tf.weights.torch_file import read_torch_file

STORED = np.load(pathlib.Path(__file__).with_name("torch_files.npz"))
FILES = sorted({key for key in STORED.files if key.count("|") == 1})


@pytest.fixture
def write(tmp_path):
    def write(content: bytes) -> pathlib.Path:
        path = tmp_path / "file.pth"
        path.write_bytes(content)
        return path

    return write


def flat(value, path=""):
    if isinstance(value, np.ndarray):
        return {path: value}
    items = value.items() if isinstance(value, dict) else ()
    return {k: v for name, part in items for k, v in flat(part, f"{path}/{name}").items()}


# === Tensors ===


@pytest.mark.parametrize("name", FILES)
def test_tensors_equal_those_of_pytorch_bit_for_bit(name, write):
    arrays = flat(read_torch_file(write(STORED[name].tobytes())))
    expected = {
        key.removeprefix(f"{name}|"): STORED[key]
        for key in STORED.files
        if key.startswith(f"{name}|")
    }
    assert arrays.keys() == expected.keys()
    assert expected
    for path, value in expected.items():
        assert arrays[path].dtype == value.dtype
        assert arrays[path].shape == value.shape
        assert arrays[path].tobytes() == value.tobytes()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_containers_and_numbers_stay(form, write):
    read = read_torch_file(write(STORED[f"nested|{form}"].tobytes()))
    assert read["epoch"] == 3
    assert read["best"] == [1.5, None, True, ("a", (2, 3))]


# === Code ===


class Runs:
    """An object whose pickle calls `os.mkdir`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def zipped(data: bytes, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def legacy(*objects: object) -> bytes:
    return b"".join(x if isinstance(x, bytes) else pickle.dumps(x, 2) for x in objects)


MAGIC = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})


@pytest.mark.parametrize("form", [zipped, lambda data: legacy(*MAGIC, data, [])])
def test_code_is_not_run_and_is_named(form, write, tmp_path):
    ran = tmp_path / "ran"
    path = write(form(pickle.dumps({"model": Runs(ran)}, 2)))
    with pytest.raises(ValueError, match=r"file\.pth .*it names posix\.mkdir, .*state_dict"):
        read_torch_file(path)
    assert not ran.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(N}S'__class__'\nI1\nstb.",
        b"ccollections\nOrderedDict\n}S'__init__'\nI1\nsb.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"(S'a'\nios\nsystem\n.",
        b"\x82\x01.",
    ],
)
def test_other_names_and_changed_functions_are_refused(code, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in (zipped(code), legacy(*MAGIC, code, [])):
        with pytest.raises(ValueError, match=r"file\.pth is not a checkpoint of tensors: "):
            read_torch_file(write(content))
    assert [path.name for path in tmp_path.iterdir()] == ["file.pth"]
    test_containers_and_numbers_stay("zip", write)  # and the reader is as it was


def tensor(offset, shape, strides, size=6):
    """The pickle of a tensor that refers to a float32 storage of `size` elements."""
    numbers = [*pickle_int(offset), *pickle_ints(shape), *pickle_ints(strides)]
    storage = b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\n" + b"I%d\ntQ" % size
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"".join(numbers) + b"I00\n}tR."


def pickle_int(n):
    return [b"I%d\n" % n]


def pickle_ints(numbers):
    return [b"(", *(b"I%d\n" % n for n in numbers), b"t"]


def test_a_tensor_stays_in_its_storage(write):
    data = {"data/0": np.arange(6, dtype="<f4").tobytes()}
    read = read_torch_file(write(zipped(tensor(1, (2, 2), (2, 1)), **data)))
    np.testing.assert_array_equal(read, [[1, 2], [3, 4]])
    for offset, shape, strides in [
        (0, (7,), (1,)),
        (3, (2, 2), (2, 1)),
        (0, (2, 2), (1 << 60, 1)),
        (-1, (2,), (1,)),
        (2, (2,), (-1,)),
        (0, (2,), (1, 1)),
    ]:
        with pytest.raises(ValueError, match=r"file\.pth .*leaves its storage"):
            read_torch_file(write(zipped(tensor(offset, shape, strides), **data)))
    with pytest.raises(ValueError, match="storage 0 has 24 bytes instead of 4000"):
        read_torch_file(write(zipped(tensor(0, (2,), (1,), size=1000), **data)))


def test_shared_containers_are_read_once(write):
    """Without a memo this file of some hundred bytes would have 2**90 elements."""
    nested = []
    for _ in range(90):
        nested = [nested, nested]
    read = read_torch_file(write(zipped(pickle.dumps(nested, 2))))
    assert read[0] is read[1]
    with pytest.raises(ValueError, match="more than 100 nested containers"):
        for _ in range(90):
            nested = [nested]
        read_torch_file(write(zipped(pickle.dumps(nested, 2))))


def test_an_expanded_tensor_costs_no_memory(write):
    data = {"data/0": np.float32([2.5]).tobytes()}
    read = read_torch_file(write(zipped(tensor(0, (1 << 40,), (0,), size=1), **data)))
    assert (read.shape, read[-1]) == ((1 << 40,), 2.5)


# === Damage ===


@pytest.mark.parametrize("name", ["plain|zip", "plain|legacy", "module|zip", "module|legacy"])
def test_truncated_files_are_refused(name, write):
    content = STORED[name].tobytes()
    for length in (0, 1, 10, len(content) // 2, len(content) - 1):
        with pytest.raises(ValueError, match=r"file\.pth is not a checkpoint of tensors: \S"):
            read_torch_file(write(content[:length]))


@pytest.mark.parametrize("name", ["shared|zip", "nested|zip", "shared|legacy", "nested|legacy"])
def test_changed_bytes_are_refused_or_read_as_numbers(name, write):
    content = STORED[name].tobytes()
    r = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        changed = bytearray(content)
        for position in r.integers(len(content), size=r.integers(1, 4)):
            changed[position] = r.integers(256)
        try:
            read_torch_file(write(bytes(changed)))
        except ValueError as error:
            assert "file.pth is not a checkpoint of tensors" in str(error)
            refused += 1
    assert refused > 20


def test_a_changed_byte_of_a_zipped_tensor_is_noticed(write):
    content = bytearray(STORED["plain|zip"].tobytes())
    data = STORED["plain|zip|/a"].tobytes()
    content[content.index(data) + 5] ^= 1
    with pytest.raises(ValueError, match="CRC"):
        read_torch_file(write(bytes(content)))


def test_missing_and_odd_files(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(ValueError, match="is not a checkpoint of tensors"):
            read_torch_file(path)
