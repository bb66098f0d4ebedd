"""Measures the finished weights on held-out seeds: `python -m training.evaluation`. One module to a group of figures.

Nothing here was seen in training: products, masks and captions come from seeds at and above `HELD_OUT_SEED`, and the
judge of generated pictures learnt from rendered ones only.
"""
