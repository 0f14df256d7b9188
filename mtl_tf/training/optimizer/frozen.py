"""Frozen backbones: the optimizer has state for their variables from the start."""

import keras


def build_for_frozen_backbone(optimizer: keras.optimizers.Optimizer, trainer: keras.Model) -> None:
    """Build an optimizer for all variables of a trainer whose network has a frozen backbone.

    So the backbone can be unfrozen later, and what is saved has the same form before and after.

    Args:
        optimizer: left alone if it is built already.
        trainer: with its `network`.
    """
    backbone = getattr(trainer.network, "backbone", None)
    if backbone is None or backbone.trainable or not trainer.network.trainable or optimizer.built:
        return
    backbone.trainable = True
    optimizer.build(trainer.trainable_variables)
    backbone.trainable = False
