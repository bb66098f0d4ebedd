"""Trains what turns text and pictures into embeddings and latents: tokenizer, text encoders, VAE, image encoders."""
