"""What every stage shares: the training loop, the diffusion loss, workers, the networks and low-rank updates."""
