"""Objects with state belong to one trainer: state must not leak from one run into the next."""

import weakref
from typing import TypeAlias, TypeVar

import keras

from mtl_tf.task_config import whole_config

_Stateful: TypeAlias = keras.layers.Layer | keras.callbacks.Callback
_Owned = TypeVar("_Owned", bound="keras.layers.Layer | str | None")
_owners: "weakref.WeakKeyDictionary[_Stateful, weakref.ref[keras.Model]]" = (
    weakref.WeakKeyDictionary()
)


def owned(state: _Owned, owner: keras.Model) -> _Owned:
    """Return the object itself, or a fresh one with the same arguments if another trainer used it.

    Args:
        state: a balancing method or gradient penalty; names and `None` have no state.
        owner: the trainer.

    Raises:
        ValueError: if it was used and its `get_config` does not hold its arguments.
    """
    if state is None or isinstance(state, str):
        return state
    if not _is_of_another(state, owner):
        _owners[state] = weakref.ref(owner)
        return state
    kind = type(state).__name__
    try:
        return owned(type(state).from_config(whole_config(state, looks_inside=False)), owner)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"This {kind} object was used with another trainer and carries its state, and cannot "
            f"be copied ({error}): make a new {kind} for each trainer"
        ) from error


def claim(callback: keras.callbacks.Callback, owner: keras.Model) -> None:
    """Make a callback `owner`'s; `ValueError` if another trainer has used it."""
    if _is_of_another(callback, owner):
        kind = type(callback).__name__
        raise ValueError(
            f"This {kind} was used with another trainer and carries its state: make a new {kind} "
            "for each trainer"
        )
    _owners[callback] = weakref.ref(owner)


def _is_of_another(state: _Stateful, owner: keras.Model) -> bool:
    previous = _owners.get(state)
    return previous is not None and previous() is not owner
