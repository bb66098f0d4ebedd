"""Decodes pictures of strangers in processes of their own, whose death the server survives."""

from orchestrator.decoding.decoder import HERE, CannotDecodeError, Decoder, InProcess
from orchestrator.decoding.pool import Decoders, decoders

__all__ = ["HERE", "CannotDecodeError", "Decoder", "Decoders", "InProcess", "decoders"]
