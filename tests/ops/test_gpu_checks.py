"""What `benchmarks.gpu` finds of the ops on feature maps, with the CPU's kernels in place."""

import numpy as np

from benchmarks.gpu_correctness import Findings
from benchmarks.gpu_features import check_features
from tests.ops.implementations import bindings, needs_native

pytestmark = needs_native


class Wrong:
    """Kernels of which one is a little off."""

    def __getattr__(self, name):
        kernel = getattr(bindings(), name)
        if name != "cross_stitch":
            return kernel
        return lambda *a, **k: [np.float32(x) * 1.05 for x in kernel(*a, **k)]


def test_right_kernels_pass():
    findings = Findings()
    check_features(bindings(), ("float32", "bfloat16", "float16"), 1, findings)
    assert not findings.failures
    assert len(findings.by_kernel) == 5 * 2 * 3


def test_a_wrong_kernel_is_named():
    findings = Findings()
    check_features(Wrong(), ("float32",), 1, findings)
    assert {failure.split(",")[0] for failure in findings.failures} == {"cross_stitch"}
    assert all("values" in failure for failure in findings.failures)
