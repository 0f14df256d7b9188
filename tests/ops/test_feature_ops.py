"""Every op on feature maps against float64 NumPy: all implementations, values and gradients."""

import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.dtypes import DTYPES, epsilon
from tests.helpers.feature_ops import OPS, error, exact, upstream_of
from tests.ops.implementations import ALL, TENSORFLOW, _arrays, bindings, needs_native, wrap

# Of each kind; the others are slow where a graph is compiled for every test.
OF_EACH_KIND = (
    "attention_distillation, 4 sources",
    "attention_distillation, packed, 5 tasks",
    "cross_stitch, 3 tasks",
    "cross_stitch, scalar",
    "affinity_diffusion, 3 sources",
    "upsample_cross_entropy, 40 classes",
    "upsample_l1, one channel",
)
EACH = pytest.mark.parametrize("op", OPS.values(), ids=OPS.keys())
SOME = pytest.mark.parametrize(
    "op",
    [
        pytest.param(op, id=name, marks=[] if name in OF_EACH_KIND else pytest.mark.slow)
        for name, op in OPS.items()
    ],
)
COMPILED = [
    pytest.param(
        name,
        op,
        id=f"{name}-{key}",
        marks=[] if key in OF_EACH_KIND or name not in ("graph", "xla") else pytest.mark.slow,
    )
    for name in ALL
    for key, op in OPS.items()
]
NATIVE = ("float32", "bfloat16", "float16")


def module(implementation):
    return mtl.ops.reference if implementation == "reference" else mtl.ops


def values(implementation, op, arrays):
    if implementation == "binding":
        return op.binding(bindings(), arrays, 2)
    function = wrap(implementation, lambda *x: op.call(module(implementation), x))
    return _arrays(function(*map(tf.constant, arrays)))


def gradients(implementation, op, arrays, upstream):
    if implementation == "binding":
        return op.binding_gradients(bindings(), arrays, upstream, 2)

    def both(x, u):
        with tf.GradientTape() as tape:
            tape.watch(x)
            results = op.call(module(implementation), x)
        return tape.gradient(results, x, output_gradients=u)

    tensors = [[tf.constant(a) for a in group] for group in (arrays, upstream)]
    return _arrays(wrap(implementation, both)(*tensors))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("implementation", "op"), COMPILED)
def test_values_and_gradients(implementation, dtype, op):
    """Errors are at most twice those of TensorFlow's own ops, or the rounding of the result."""
    if implementation == "binding" and (dtype == "float64" or not op.has_kernel):
        pytest.skip("no kernel for this type or size")
    arrays = op.draw(dtype)
    upstream = upstream_of(op, arrays, dtype)
    of_values = error(values(implementation, op, arrays), op.truth(exact(arrays)))
    of_gradients = error(
        gradients(implementation, op, arrays, upstream),
        op.gradients(exact(arrays), exact(upstream)),
    )
    own_values = error(values("reference", op, arrays), op.truth(exact(arrays)))
    own_gradients = error(
        gradients("reference", op, arrays, upstream), op.gradients(exact(arrays), exact(upstream))
    )
    floor = max(epsilon(dtype) * (4 if op.is_loss else 1), 3e-7 if op.float32 else 0)
    assert own_values < 30 * floor and own_gradients < 300 * floor
    assert of_values <= 2 * own_values + floor
    assert of_gradients <= 2 * own_gradients + floor


@SOME
@pytest.mark.parametrize("implementation", TENSORFLOW)
def test_dtypes_and_shapes_are_those_of_the_features(implementation, op):
    arrays = op.draw("bfloat16")
    results = values(implementation, op, arrays)
    expected = np.dtype("float32") if op.is_loss else arrays[0].dtype
    assert {y.dtype for y in results} == {expected}
    found = gradients(implementation, op, arrays, upstream_of(op, arrays, "bfloat16"))
    assert [(g.dtype, g.shape) for g in found] == [(x.dtype, x.shape) for x in arrays]


@EACH
def test_gradients_equal_finite_differences(op):
    """Of the truth itself, so that both are right."""
    arrays = exact(op.draw("float32", seed=5))
    upstream = exact(upstream_of(op, arrays, "float32"))
    found = op.gradients(arrays, upstream)
    r = np.random.default_rng(1)
    direction = [r.standard_normal(a.shape) for a in arrays]

    def along(step):
        moved = [a + step * d for a, d in zip(arrays, direction, strict=True)]
        return sum(np.sum(y * u) for y, u in zip(op.truth(moved), upstream, strict=True))

    slope = (along(1e-5) - along(-1e-5)) / 2e-5
    expected = sum(np.sum(g * d) for g, d in zip(found, direction, strict=True))
    size = np.sqrt(sum(np.sum(np.square(g)) for g in found))
    assert abs(slope - expected) < 1e-6 * max(size, 1)


@SOME
@pytest.mark.parametrize("implementation", ["eager", "graph", "xla"])
def test_the_gradient_of_the_gradient_is_that_of_the_reference(implementation, op):
    arrays = op.draw("float32", seed=2)
    upstream = upstream_of(op, arrays, "float32")

    def second(ops, x, u):
        with tf.GradientTape() as outer:
            outer.watch([x, u])
            with tf.GradientTape() as inner:
                inner.watch(x)
                results = op.call(ops, x)
            first = inner.gradient(results, x, output_gradients=u)
            total = tf.add_n([tf.reduce_sum(tf.square(g)) for g in first])
        return outer.gradient(total, [*x, *u], unconnected_gradients="zero")

    tensors = [[tf.constant(a) for a in group] for group in (arrays, upstream)]
    found = wrap(implementation, lambda *a: second(mtl.ops, *a))(*tensors)
    expected = second(mtl.ops.reference, *tensors)
    scale = max(float(tf.reduce_max(tf.abs(e))) for e in expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * scale)


@needs_native
@EACH
@pytest.mark.parametrize("dtype", NATIVE)
def test_threads_change_nothing(dtype, op):
    arrays = op.draw(dtype, seed=3)
    upstream = upstream_of(op, arrays, dtype)
    if not op.has_kernel:
        pytest.skip("no kernel for this size")
    for run in (
        lambda t: op.binding(bindings(), arrays, t),
        lambda t: op.binding_gradients(bindings(), arrays, upstream, t),
    ):
        one, two, five = run(1), run(2), run(5)
        for parts in zip(one, two, five, strict=True):
            assert len({np.asarray(part).tobytes() for part in parts}) == 1


@SOME
@pytest.mark.parametrize("implementation", ["eager", "xla", "reference"])
def test_an_empty_batch(implementation, op):
    arrays = [
        a if i in op.float32 or a.ndim < 2 else a[:0] for i, a in enumerate(op.draw("float32"))
    ]
    results = values(implementation, op, arrays)
    assert [y.shape for y in results] == [y.shape for y in op.truth(exact(arrays))]
    upstream = upstream_of(op, arrays, "float32")
    found = gradients(implementation, op, arrays, upstream)
    assert [g.shape for g in found] == [a.shape for a in arrays]


@SOME
def test_unknown_sizes_in_a_graph(op):
    arrays = op.draw("float32")
    specs = [
        tf.TensorSpec([None] * (a.ndim - 1) + [a.shape[-1]] if i not in op.float32 else a.shape)
        for i, a in enumerate(arrays)
    ]
    function = tf.function(lambda *x: op.call(mtl.ops, x), input_signature=specs)
    assert error(_arrays(function(*arrays)), op.truth(exact(arrays))) < 1e-5


@EACH
def test_portable_ops_are_tensorflows_own(op):
    def names(function):
        arrays = [tf.constant(a) for a in op.draw("float32")]
        graph = tf.function(lambda *x: op.call(mtl.ops, x)).get_concrete_function(*arrays).graph
        return function(o.type.startswith("Mtl>") for o in graph.get_operations())

    with mtl.ops.portable():
        assert not names(any)


@needs_native
@pytest.mark.parametrize("dtype", NATIVE)
def test_nan_and_infinity_pass(dtype):
    """As they do in TensorFlow's own ops."""
    for name in ("attention_distillation, 4 sources", "cross_stitch, 3 tasks"):
        op = OPS[name]
        arrays = op.draw(dtype)
        arrays[0].flat[3] = np.nan
        arrays[1].flat[5] = np.inf
        arrays[2].flat[7] = -np.inf
        native, own = values("eager", op, arrays), values("reference", op, arrays)
        for a, b in zip(native, own, strict=True):
            np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
