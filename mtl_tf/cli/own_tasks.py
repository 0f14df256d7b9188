"""Tasks of the user's own code, named on the command line."""

from mtl_tf.cli.flags import split_list
from mtl_tf.experiments import plugins
from mtl_tf.tasks import TASKS, Task


def custom_tasks(text: str | None) -> list[Task] | None:
    """Return the tasks that `--tasks` names beside those of the library.

    Args:
        text: names and `file.py:NAME`, separated by commas; `None` for no tasks.

    Returns:
        The custom tasks; `None` if there are none.
    """
    names = [name for name in split_list(text or "") if name and name not in TASKS]
    return list(plugins.load_tasks(names).values()) if names else None
