"""Training data that needs no trained network: shards, captions, labels, masks, damage, cut-outs."""
