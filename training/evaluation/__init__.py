"""Measures the published weights on held-out seeds: `python -m training.evaluation`. One module per group of figures.

Products, masks and captions come from seeds at and above `HELD_OUT_SEED`, which training never draws. The classifier
that judges generated pictures was trained on rendered pictures only.
"""
