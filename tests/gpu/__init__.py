"""Checks of the CUDA kernels on a GPU, without TensorFlow; `python3 -m benchmarks.gpu` runs them."""
