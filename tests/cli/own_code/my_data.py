"""An own data set, as a user writes it."""

import my_tasks
import numpy as np

import mtl_tf as mtl


class Garage(mtl.data.DenseDataset):
    """Random images whose brightness is their heat, and whose quarters are the parts."""

    def __init__(self, tasks, input_shape, root="", **options):
        self.root = root
        splits = {"train": [str(i) for i in range(8)], "val": ["100", "101", "102"]}
        available = [my_tasks.heat, my_tasks.parts()]
        super().__init__(tasks, available, splits, input_shape, **options)

    def load(self, image_id):
        height, width = 32, 64
        rows, columns = np.indices((height, width))
        ids = 2 * (rows >= height // 2) + (columns >= width // 2)
        noise = np.random.default_rng(int(image_id)).integers(0, 40, (height, width, 3))
        image = (50 * ids[..., None] + noise).astype(np.uint8)
        heat = image.mean(-1).astype(np.float32) / 100
        targets = {"heat": heat, "vehicle_parts": ids}
        return mtl.data.Sample(image, {task: targets[task] for task in self.tasks}, {})


def garage(root=None, **arguments):
    """A function in place of a class; it needs no root."""
    return Garage(root=root or "", **arguments)


def of_numbers(**arguments):
    """No data set."""
    return [1, 2, 3]


class WithoutTasks(mtl.data.DenseDataset):
    """Knows its task by name only, so that what is whole numbers are class ids."""

    def __init__(self, tasks, input_shape, **options):
        super().__init__(tasks, {"heat": 3}, {"train": ["1"], "val": ["2"]}, input_shape, **options)

    def load(self, image_id):
        image = np.zeros((32, 64, 3), np.uint8)
        return mtl.data.Sample(image, {"heat": image[..., 0].astype(int)}, {})
