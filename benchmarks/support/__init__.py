"""What the benchmarks share: timers, workloads, peers. No claims."""
