"""Trains the networks that look at a finished picture: classifier, segmenter, reward model."""
