"""Furnished rooms, ray-cast in NumPy: unlimited images with exact labels of six tasks."""

from mtl_tf.data.rendered_rooms.rendered_rooms import RenderedRooms

__all__ = ["RenderedRooms"]
