"""From the Gramian of task gradients to the weights of their sum: the solvers of all weightings."""

from typing import Any

import tensorflow as tf

from mtl_tf.ops import _library, reference
from mtl_tf.ops._balance import METHODS, SCALES, BalanceReport, prepare
from mtl_tf.ops._gradients import MAX_NATIVE_TASKS
from mtl_tf.typing import TensorLike


def balance(gramian: TensorLike, method: str, **parameters: Any) -> tf.Tensor:
    """Solve for the weights `[K]` of K tasks, given the Gramian of their gradients.

    Everything is solved in float64 on the cosines between the gradients, exactly (a residual of the
    optimality conditions of at most 1e-8, usually 1e-14), whatever the scale of the gradients.
    Tasks whose gradient is zero get the weight 0, and the others are solved as if they were alone.

    ============= =============================================== ============================
    method        weights                                         parameters
    ============= =============================================== ============================
    `mgda`        argmin |Σ w_k g_k| on the simplex
    `upgrad`      Σ_i argmin v'Gv, v ≥ p_i e_i                    `preference` p
    `dualproj`    argmin v'Gv, v ≥ p                              `preference` p
    `pcgrad`      sequential projections, summed                  `order`
    `gradvac`     moves towards target cosines                    `beta`, `order`, `targets`
    `cagrad`      max_d min_i <g_i, d>, |d − g_0| ≤ c |g_0|       `c`
    `nash_mtl`    G w = 1 / w                                     (fallback: `mgda`)
    `fairgrad`    G w = w^(−1/α)                                  `alpha` (fallback: `mgda`)
    `imtl_g`      equal projections on the unit gradients, sum 1  (fallback: pseudo-inverse)
    `aligned_mtl` √s V Λ^(−1/2) V' p of G = V Λ V'                `scale` s, `preference` p
    ============= =============================================== ============================

    CAGrad's fallback, where gradients cancel each other and nothing better than 0 can be gained for
    all: the direction nearest to the mean that gains it. No gradient passes through `balance`: the
    weights are constants of the step.

    Source: Vandenhende et al., TPAMI 2021, section 4 for MGDA; Quinton & Rey 2024 (UPGrad),
    Lopez-Paz & Ranzato 2017 (DualProj), Yu et al. 2020 (PCGrad), Wang et al. 2021 (GradVac), Liu et
    al. 2021 (CAGrad, IMTL-G), Navon et al. 2022 (Nash-MTL), Ban & Ji 2024 (FairGrad), Senushkin et
    al. 2023 (Aligned-MTL).

    Args:
        gramian: `[K, K]` symmetric floating point, best the float64 of `mtl_tf.ops.gramian`.
        method: one of the names above.
        **parameters: of the method. `preference`: `[K]`, by default `1 / K`; `order`: `[K, K-1]`
            int32, row i lists the other tasks in the order in which i meets them, ascending by
            default; `c` ≥ 0, 0.4 by default; `alpha` from 0.05 to 100, 1 by default; `beta`: the
            rate, 0 to 1, at which the target cosines follow the observed ones, 0.5 by default;
            `targets`: `[K, K]` target cosines, by default zero; `scale`: the eigenvalue others are
            scaled to, `"min"` (default), `"median"` (the lower of two) or `"mean"`.

    Returns:
        Tensor `[K]` in the dtype of `gramian`.

    Raises:
        ValueError: if the method or a parameter is unknown, or a shape or value is wrong.
        tf.errors.InvalidArgumentError: if a row of `order` does not list each other task once.
    """
    return balance_report(gramian, method, **parameters).weights


def balance_report(gramian: TensorLike, method: str, **parameters: Any) -> BalanceReport:
    """Solve as `balance` does, and return the solver's status with the weights.

    Source: as for `balance`.

    Args:
        gramian: as for `balance`.
        method: as for `balance`.
        **parameters: as for `balance`.

    Returns:
        Weights, status, residual and target cosines; the weights in the dtype of `gramian`.

    Raises:
        ValueError: as for `balance`.
        tf.errors.InvalidArgumentError: as for `balance`.
    """
    arguments = prepare(gramian, method, parameters)
    gramian = tf.convert_to_tensor(gramian)
    library = _library.tensorflow_ops()
    num_tasks = arguments["gramian"].shape[0]
    if library is None or (num_tasks is not None and num_tasks > MAX_NATIVE_TASKS):
        return reference.balance_report(gramian, method, **parameters)
    absent = {
        "preference": tf.zeros([0], tf.float64),
        "order": tf.zeros([0, 0], tf.int32),
        "targets": tf.zeros([0, 0], tf.float64),
    }
    numbers = [list(METHODS).index(arguments.pop("method")), SCALES.index(arguments.pop("scale"))]
    given = {name: value for name, value in arguments.items() if value is not None}
    report = BalanceReport(*library.mtl_balance(**{**absent, **given}, numbers=numbers))
    return report._replace(weights=tf.cast(report.weights, gramian.dtype))


tf.no_gradient("Mtl>Balance")
