"""A capacity simulator: discrete events fed with measured costs, and what it says about 10, 100 and 1,000 GPUs."""
