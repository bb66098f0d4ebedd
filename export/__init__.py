"""Turns a diffusers folder into a Triton model repository: ONNX by component, configs, digests, parity report."""
