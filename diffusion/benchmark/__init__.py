"""How fast everything is, and how fast others are beside it, on one machine in one run.

`timing` holds the clocks and counters, `others` the networks of other projects, `training` a step
of each training, `measure` what is measured, `report` the tables of it. Everything is timed in
float32, uncompiled, on as many threads as PyTorch takes by itself; others' networks have the
weights they are born with, since only time is compared.
"""

from diffusion.benchmark.measure import FULL, QUICK, benchmark
from diffusion.benchmark.others import why_no_diffusers
from diffusion.benchmark.report import markdown
from diffusion.benchmark.timing import matmul_rate

__all__ = ["FULL", "QUICK", "benchmark", "markdown", "matmul_rate", "why_no_diffusers"]
