"""A folder of your own images and labels, described by a `data.yaml`.

================== ==========================================================
`folder.py`        `Folder`, the data set
`description.py`   what `data.yaml` may say, and the encodings of labels
`patterns.py`      patterns of paths: which files belong to one image
`splits.py`        which images are for training, validation and test
`numbers.py`       the numbers in a file of labels, whatever its format
`encodings.py`     from numbers to a target and its mask
`annotators.py`    several labels of one image, merged
`tasks.py`         the `mtl_tf.Task` objects of the labels
`draft.py`         a first `data.yaml`, from a look at the files
`grouping.py`      groups of files that belong to images, for the draft
`guesses.py`       encodings guessed from the numbers, for the draft
`yaml_files.py`    YAML files that anyone may have written
================== ==========================================================
"""

from mtl_tf.data.folder.description import FILE, read_description
from mtl_tf.data.folder.draft import draft
from mtl_tf.data.folder.folder import Folder
from mtl_tf.data.folder.tasks import task_of

__all__ = ["FILE", "Folder", "draft", "read_description", "task_of"]
