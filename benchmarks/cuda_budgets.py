"""What the machine code of the memory-bound CUDA kernels allows, as a table in Markdown.

    python -m benchmarks.cuda_budgets [ops/kernels/BUDGETS.md]

Compiles the kernels for an H200 and reads their code: no GPU is needed, and nothing is measured. A
test holds each kernel to its share.
"""

import argparse
import dataclasses
import functools
import pathlib
import tempfile

from benchmarks.support import machine_code
from mtl_tf.atomic_files import write_atomically

TEXT = """# Budgets of the CUDA kernels

Estimates, not measurements: no kernel has been timed on a GPU yet. `python -m
benchmarks.cuda_budgets` compiles the kernels for compute capability 9.0, reads their machine code
and writes this page; a slow test holds every kernel to the share it must reach.

The model of an H200: 132 multiprocessors at 1.85 GHz share 4.3 TB/s, 17.5 bytes a clock each. A
multiprocessor issues three instructions a clock in the long run (four at best), and needs 33 KB
on the way to hide a latency of a microsecond. Of the main loop of a kernel, the one with the
widest loads:

- *bytes*: what a thread loads and stores in a pass;
- *instructions*: of a pass, all of them; `32 bytes / 17.5 * 3 / instructions` is the first limit;
- *on the way*: bytes that a thread has asked for before it uses some, times the threads that
  registers and shared memory let run at once; divided by 33 KB it is the second limit;
- *share of a copy*: the smaller limit, at most 1. Launches, second kernels and the last blocks
  cost the rest: little at 10^8 elements, a fifth at 2 * 10^7;
- *before*: the estimate for the kernels of version 0.1, from the same model by hand.

"""

WIDE = """

The Gramian of more than eight tasks is limited by shared memory instead: a thread with a tile of
4 x 4 pairs loads eight vectors of 16 bytes for 64 multiply-adds. Per column of K elements, with T
= n (n + 1) / 2 tiles and n = ceil(K / 4): T reads take T clocks (8 x 16 bytes at 128 bytes a
clock), four columns at a time: T / 4 clocks, and the columns are written in n / 8 clocks; the
bytes of the column take 4 K / 17.5 clocks in float32, half in 16 bits. The aims, 90 % and above
24 tasks 60 %, are met in float32 up to 32 tasks and missed in 16 bits, which need the tensor
cores.

| tasks | clocks, shared memory | clocks, float32 column | share, float32 | 16 bits | before |
|---:|---:|---:|---:|---:|---:|
"""

UPSAMPLING = """

The losses of upsampled predictions make every exponential once. Instructions for a pixel and
channel, from the loops of the machine code: {powers:.1f} for the slopes and {corners:.1f} for the
corners, and at most {pixel:.0f} for a pixel (a part of them only where the largest prediction is
far below its bound). With 40 channels, 8 x 60 x 80 to 480 x 640, that is at most {warps:.0f}
million warp instructions: {microseconds:.0f} microseconds at three a clock, {times:.1f} times the
time of its 51 MB. Before: 4700 million, 7 to 10 milliseconds. The aim, three times, is missed.
"""


@dataclasses.dataclass(frozen=True)
class Budget:
    """A kernel, how it is launched, and the share of a copy it must reach."""

    source: str
    kernel: str
    threads: int
    least: float
    before: str


BUDGETS = [
    *[
        Budget("gradients/gramian.cu", f"GramianKernel<{t}, {k}>", 128 if k > 5 else 256, 0.9, b)
        for t, k, b in (
            ("float", 3, "88-93 %"),
            ("float", 5, ""),
            ("float", 8, "65-75 %"),
            ("__nv_bfloat16", 3, "80-88 %"),
            ("__nv_bfloat16", 5, "80-88 %"),
            ("__nv_bfloat16", 6, "45-55 %"),
            ("__nv_bfloat16", 8, "45-55 %"),
        )
    ],
    *[
        Budget("gradients/weighted_sum.cu", f"WeightedSumKernel<{t}, {k}>", 256, 0.9, "65-80 %")
        for t in ("float", "__nv_bfloat16")
        for k in (3, 5, 8)
    ],
    *[
        Budget("gradients/grad_drop.cu", f"GradDropKernel<{t}, {k}>", 256, 0.9, b)
        for t, k, b in (
            ("float", 3, "80-88 %"),
            ("__nv_bfloat16", 3, "70-80 %"),
            ("float", 0, "40-60 %"),
            ("__nv_bfloat16", 0, "40-60 %"),
        )
    ],
    *[
        Budget(
            "features/attention_distillation.cu", f"Distill{g}Kernel<{t}, {n}, {d}>", 256, 0.9, b
        )
        for g, b4, b8 in (("", "85-90 %", "60-65 %"), ("Grad", "75-85 %", "70-75 %"))
        for t, n, b in (("float", 4, b4), ("__nv_bfloat16", 8, b8))
        for d in ("true", "false")
    ],
    *[
        Budget("features/cross_stitch.cu", f"StitchKernel<{t}, {n}, 3>", 256, 0.9, b)
        for t, n, b in (("float", 4, "75-85 %"), ("__nv_bfloat16", 8, "28 %"))
    ],
    *[
        Budget("features/cross_stitch.cu", f"StitchGradKernel<{t}, 4, 3>", 128, 0.9, b)
        for t, b in (("float", "25 %"), ("__nv_bfloat16", "13 %"))
    ],
]


@functools.cache
def kernels(source: str) -> dict[str, machine_code.Kernel]:
    """Return the kernels of a file."""
    with tempfile.TemporaryDirectory() as folder:
        return machine_code.compiled(source, pathlib.Path(folder))


def _column_clocks(tasks: int) -> float:
    """Return the clocks that the bytes of a column of float32 take."""
    return 4 * tasks / machine_code.BYTES_A_CLOCK


def wide_shares(tasks: int) -> tuple[float, float, float]:
    """Return clocks in shared memory and the shares of a copy in float32 and 16 bits."""
    classes = -(-tasks // 4)
    shared = classes * (classes + 1) / 2 / 4 + classes / 8
    column = _column_clocks(tasks)
    return shared, min(1.0, column / shared), min(1.0, column / 2 / shared)


def upsampling() -> dict[str, float]:
    """Return instructions of the cross-entropy for a pixel and channel, and their time."""
    loops = kernels("features/upsampling/upsample_loss.cu")["CellsKernel<CrossEntropy, 4>"].loops()
    powers = min((x for x in loops if x.count("MUFU.EX2") >= 8), key=lambda x: len(x.code))
    corners = min((x for x in loops if x.count("FFMA") >= 64), key=lambda x: len(x.code))
    # A pixel has two loops of powers, the second for a bound that is far above.
    pixel = min((x for x in loops if x.count("MUFU.EX2") >= 16), key=lambda x: len(x.code))
    found = {
        "powers": len(powers.code) / powers.count("MUFU.EX2"),
        "corners": len(corners.code) / (corners.count("FFMA") / 2),
        "pixel": len(pixel.code) - 2 * len(powers.code),
    }
    for_channel = found["powers"] + found["corners"] + found["pixel"] / 40
    found["warps"] = 8 * 480 * 640 * 40 * for_channel / 32 / 1e6
    found["microseconds"] = found["warps"] * 1e6 / 132 / machine_code.INSTRUCTIONS_A_CLOCK / 1850
    found["times"] = found["microseconds"] / (51 / 4.3)
    return found


def markdown() -> str:
    """Return the page."""
    heads = (
        "kernel",
        "registers",
        "bytes",
        "instructions",
        "on the way",
        "share of a copy",
        "before",
    )
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * 6]
    for budget in BUDGETS:
        kernel = kernels(budget.source)[budget.kernel]
        loop = kernel.main_loop()
        waiting = loop.bytes_in_flight() * kernel.threads_at_once(budget.threads)
        cells = (
            f"`{budget.kernel}`",
            f"{kernel.registers}",
            f"{loop.bytes_moved('LDG')} + {loop.bytes_moved('STG')}",
            f"{len(loop.code)}",
            f"{waiting / 1000:.0f} KB",
            f"{100 * kernel.expected_share(budget.threads):.0f} %",
            budget.before,
        )
        lines.append(f"| {' | '.join(cells)} |")
    wide = []
    before = {9: "40 / 20 %", 12: "52 / 26 %", 16: "32 / 16 %", 20: "22 / 11 %"}
    before |= {24: "", 32: "11 / 5 %", 64: "5 / 2 %"}
    for tasks, text in before.items():
        shared, single, half = wide_shares(tasks)
        wide.append(
            f"| {tasks} | {shared:.2f} | {_column_clocks(tasks):.2f} | {100 * single:.0f} % | "
            f"{100 * half:.0f} % | {text} |"
        )
    return TEXT + "\n".join(lines) + WIDE + "\n".join(wide) + UPSAMPLING.format(**upsampling())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", default="ops/kernels/BUDGETS.md", type=pathlib.Path)
    write_atomically(parser.parse_args().out, markdown())
