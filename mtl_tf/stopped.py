"""The interruption of a process by a signal; light, for the command line raises it too."""

import signal


class Stopped(KeyboardInterrupt):
    """The process was asked to end, by Ctrl-C or another program.

    Attributes:
        number: of the signal that asked for it.
        is_saved: whether a backup holds all finished steps.

    Examples:
        >>> import mtl_tf as mtl
        >>> mtl.training.Stopped(2).is_saved
        False
    """

    def __init__(self, number: int, is_saved: bool = False) -> None:
        super().__init__(signal.Signals(number).name)
        self.number, self.is_saved = number, is_saved
