"""Thin lines and matched pixels in NumPy: what the boundary benchmark of edges is made of.

Thinning is Guo and Hall's, which MATLAB's `bwmorph(map, "thin", Inf)` and scikit-image's `thin`
have: two turns alternate, in which every pixel may go that joins its neighbours in one piece only,
until none goes. 64 maps are the bits of one array of integers: of 99 maps of a prediction at 99
thresholds most agree at most pixels, so a pixel is looked at for all of them together, and again
only after one of its neighbours has changed.
"""

from collections.abc import Sequence

import numpy as np

from mtl_tf.optional_packages import optional_import

_MATCHING = "mtl_tf.ops.match_edges without the native ops"
_BITS = 64
_AT_ONCE = 8192  # pixels, so that what they need stays in the cache


def thin_edges(maps: np.ndarray) -> np.ndarray:
    """See `mtl_tf.ops.thin_edges`, of which this is the reference."""
    thinned = np.empty_like(maps)
    for first in range(0, len(maps), _BITS):
        some = range(first, min(first + _BITS, len(maps)))
        plane = np.zeros(maps.shape[1:], np.uint64)
        for bit, number in enumerate(some):
            plane |= maps[number].astype(np.uint64) << np.uint64(bit)
        plane = _thinned(plane)
        for bit, number in enumerate(some):
            thinned[number] = plane >> np.uint64(bit) & np.uint64(1)
    return thinned


def match_edges(maps: np.ndarray, truth: np.ndarray, radius: float) -> np.ndarray:
    """See `mtl_tf.ops.match_edges`, of which this is the reference.

    As a flow of one unit through every pixel: SciPy's own matching takes exponential time for
    pixels along a line (SciPy issue 26147).
    """
    spatial = optional_import("scipy.spatial", _MATCHING)
    is_matched = np.zeros(maps.shape, bool)
    true_pixels = np.argwhere(truth)
    if not len(true_pixels):
        return is_matched
    tree = spatial.cKDTree(true_pixels)
    for matched, one in zip(is_matched, maps, strict=True):
        pixels = np.argwhere(one)
        if not len(pixels):
            continue
        near = tree.query_ball_point(pixels, radius, return_sorted=True)
        owners = np.repeat(np.arange(len(pixels)), [len(columns) for columns in near])
        columns = np.fromiter((c for some in near for c in some), np.int64, owners.size)
        rows = _matched_rows(owners, columns, len(pixels), len(true_pixels))
        matched[tuple(pixels[rows].T)] = True
    return is_matched


def _matched_rows(
    owners: np.ndarray, columns: np.ndarray, num_rows: int, num_columns: int
) -> np.ndarray:
    """Rows with a partner in a largest matching of the pairs `(owners[i], columns[i])`."""
    sparse = optional_import("scipy.sparse", _MATCHING)
    csgraph = optional_import("scipy.sparse.csgraph", _MATCHING)
    source, sink = num_rows + num_columns, num_rows + num_columns + 1
    begin = [np.full(num_rows, source), owners, num_rows + np.arange(num_columns)]
    end = [np.arange(num_rows), num_rows + columns, np.full(num_columns, sink)]
    pairs = np.concatenate(begin), np.concatenate(end)
    capacities = np.ones(pairs[0].size, np.int32)
    network = sparse.csr_array((capacities, pairs), shape=(sink + 1, sink + 1))
    flow = csgraph.maximum_flow(network, source, sink, method="dinic").flow.tocoo()
    used = (flow.data > 0) & (flow.coords[0] < num_rows) & (flow.coords[1] < source)
    return flow.coords[0][used]


def _thinned(plane: np.ndarray) -> np.ndarray:
    bits = np.pad(plane, 1)
    flat, row = bits.ravel(), bits.shape[1]
    around = np.array([-row, -row + 1, 1, row + 1, row, row - 1, -1, -row - 1])  # clockwise
    present = np.flatnonzero(flat)
    waiting = [present, present]  # the pixels to look at in each of the turns
    is_waiting = np.zeros((2, flat.size), bool)
    is_waiting[:, present] = True
    last = np.empty(flat.size, np.int64)
    turn = 0
    while waiting[0].size or waiting[1].size:
        pixels, waiting[turn] = waiting[turn], present[:0]
        is_waiting[turn, pixels] = False
        going = np.empty(pixels.size, np.uint64)
        for begin in range(0, pixels.size, _AT_ONCE):
            some = pixels[begin : begin + _AT_ONCE]
            may_go = _may_go([flat[some + step] for step in around], turn)
            going[begin : begin + _AT_ONCE] = flat[some] & may_go
        changed = pixels[going != 0]
        flat[changed] &= ~going[going != 0]
        near = (changed[:, None] + around).ravel()
        near = near[flat[near] != 0]
        order = np.arange(near.size)
        last[near] = order
        near = near[last[near] == order]  # each once
        for other in (0, 1):
            new = near[~is_waiting[other, near]]
            is_waiting[other, new] = True
            waiting[other] = np.concatenate([waiting[other], new])
        turn = 1 - turn
    return bits[1:-1, 1:-1]


def _may_go(neighbours: Sequence[np.ndarray], turn: int) -> np.ndarray:
    """Bits of the maps in which a pixel may go, from its neighbours, clockwise from the upper."""
    n, ne, e, se, s, sw, w, nw = neighbours
    pieces = (~n & (ne | e), ~e & (se | s), ~s & (sw | w), ~w & (nw | n))
    first = (nw | n, ne | e, se | s, sw | w)
    second = (n | ne, e | se, s | sw, w | nw)
    all_of_them = first[0] & first[1] & first[2] & first[3]
    all_of_them &= second[0] & second[1] & second[2] & second[3]
    is_end = ~(_two_or_more(*first) & _two_or_more(*second))
    stays = (s | sw | ~nw) & w if turn else (n | ne | ~se) & e
    return _exactly_one(*pieces) & ~(is_end | all_of_them | stays)


def _exactly_one(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    return (a ^ b ^ c ^ d) & ~((a | b) & c & d | a & b & (c | d))


def _two_or_more(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    return a & b | c & d | (a | b) & (c | d)
