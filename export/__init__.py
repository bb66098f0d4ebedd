"""Turns a diffusers-layout folder into a Triton model repository: ONNX by component, configs, digests, parity report."""
