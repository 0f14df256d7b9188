"""The training step, station by station: see `mtl_tf.training.trainer`."""
