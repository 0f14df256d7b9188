"""Checks of the CUDA kernels on a GPU, without TensorFlow; run by `python3 -m benchmarks.gpu`."""
