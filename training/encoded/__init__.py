"""Training data that the trained encoders compute once: latents, style embeddings, reconstructions, samples."""
