"""What `benchmarks/gpu.py` runs: a stage a module, each in processes of its own."""
