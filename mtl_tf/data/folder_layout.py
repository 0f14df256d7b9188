"""Data sets with one folder per task and lists of image ids."""

import dataclasses
import pathlib
from collections.abc import Mapping

from mtl_tf.data import files


@dataclasses.dataclass(frozen=True)
class FolderLayout:
    """Layout of a data set with one folder per task and lists of image ids.

    Attributes:
        files: `{key: path}` of `"image"` and each task, relative to the root, with `{id}` for the
            image id. Of several alternatives, the first existing file is used.
        lists: path of the list of all ids, one per line; with `{split}` in it, of the lists of the
            training and validation ids.
    """

    files: Mapping[str, str | tuple[str, ...]]
    lists: str = "ids.txt"

    def splits(self, root: pathlib.Path, val_every: int = 10) -> dict[str, list[str]]:
        """Read the ids of each split.

        Args:
            root: path of the data folder.
            val_every: if there is one list, every n-th id is for validation.

        Returns:
            `{"train": ids, "val": ids}`.

        Raises:
            DataError: if a list is missing or invalid.
            ValueError: if `val_every` is below 2.
        """
        if "{split}" in self.lists:
            paths = {split: root / self.lists.format(split=split) for split in ("train", "val")}
            return {split: files.read_ids(path) for split, path in paths.items()}
        ids = files.read_ids(root / self.lists)
        if val_every < 2:
            raise ValueError(f"val_every must be at least 2. Received: {val_every}")
        train = [image_id for i, image_id in enumerate(ids) if i % val_every]
        return {"train": train, "val": ids[::val_every]}

    def paths(self, root: pathlib.Path, image_id: str) -> dict[str, pathlib.Path]:
        """Return the paths of the image and of each task.

        Args:
            root: path of the data folder.
            image_id: id of the image.
        """
        return {key: _path(root, choice, image_id) for key, choice in self.files.items()}


def _path(root: pathlib.Path, choice: str | tuple[str, ...], image_id: str) -> pathlib.Path:
    if isinstance(choice, str):
        return root / choice.format(id=image_id)
    return files.first_existing(*(root / path.format(id=image_id) for path in choice))
