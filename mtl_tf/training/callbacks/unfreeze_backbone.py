"""Callback: the backbone learns from a given epoch on."""

from typing import Any

import keras


class UnfreezeBackbone(keras.callbacks.Callback):
    """Keeps the backbone of an architecture frozen until an epoch.

    While it is frozen its weights do not change and its batch normalisation uses the stored
    statistics. Optimizer, balancing method and learning rate continue when it is unfrozen. A run
    resumed later continues with the backbone unfrozen. Put it before `Backup` among the callbacks,
    so that the logs of an epoch that is resumed in the middle come back.

    Examples:
        >>> model = mtl.architectures.SharedTrunk("resnet18", {"depth": 1}, (32, 32, 3))
        >>> model.backbone.trainable = False
        >>> trainer = mtl.MultiTaskTrainer(model, {"depth": 1})
        >>> trainer.compile("adam")
        >>> unfreeze = mtl.training.UnfreezeBackbone(epoch=2)
        >>> trainer.fit(dataset, epochs=10, callbacks=[unfreeze])  # doctest: +SKIP

    Args:
        epoch: first epoch, counted from 0, in which the backbone is trained.

    Raises:
        ValueError: if the epoch is negative, or the network has no backbone because it is no
            architecture of this library.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__()
        if epoch < 0:
            raise ValueError(f"epoch must not be negative. Received: {epoch}")
        self.epoch = epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check the network."""
        network = self.model.network
        if getattr(network, "backbone", None) is None:
            raise ValueError(
                f"UnfreezeBackbone needs a network with a backbone, an architecture of "
                f"mtl_tf.architectures. Received: {type(network).__name__}"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Unfreeze the backbone if it is time."""
        backbone = self.model.network.backbone
        if epoch >= self.epoch and not backbone.trainable:
            backbone.trainable = True
            self.model.compile_again()
