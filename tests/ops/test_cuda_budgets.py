"""The machine code of the CUDA kernels: whole vectors, no spills in loops, a share of a copy."""

import pytest

from benchmarks import cuda_budgets
from benchmarks.support import machine_code

pytestmark = pytest.mark.slow
if any(machine_code.tool(name) is None for name in ("nvcc", "cuobjdump", "nvdisasm")):
    pytest.skip("no nvcc, cuobjdump or nvdisasm", allow_module_level=True)
BUDGETS = {budget.kernel: budget for budget in cuda_budgets.BUDGETS}


@pytest.mark.parametrize("name", BUDGETS)
def test_a_kernel_reaches_its_share(name):
    budget = BUDGETS[name]
    kernel = cuda_budgets.kernels(budget.source)[name]
    assert kernel.expected_share(budget.threads) >= budget.least
    assert kernel.stack <= 16  # bytes of a thread outside of registers


@pytest.mark.parametrize("source", sorted({budget.source for budget in cuda_budgets.BUDGETS}))
def test_vectors_are_stored_whole(source):
    for name, kernel in cuda_budgets.kernels(source).items():
        loop = kernel.main_loop()
        loads, stores = loop.bytes_moved("LDG"), loop.count("STG")
        if loads == 16 * loop.count("LDG"):  # a loop of whole vectors
            assert loop.count(r"STG\S*\.128") == stores, name


@pytest.mark.parametrize(("tasks", "least"), [(9, 0.9), (16, 0.9), (24, 0.9), (32, 0.6)])
def test_wide_gramians_of_float32(tasks, least):
    assert cuda_budgets.wide_shares(tasks)[1] >= least


def test_an_exponential_is_made_once():
    counts = cuda_budgets.upsampling()
    assert counts["powers"] < 10 and counts["corners"] < 3.5 and counts["times"] < 10


def test_the_page_is_what_the_code_says():
    page = machine_code.ROOT / "ops" / "kernels" / "BUDGETS.md"
    assert cuda_budgets.markdown() == page.read_text("utf-8"), "python -m benchmarks.cuda_budgets"
