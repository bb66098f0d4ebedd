"""Tests of `export/engines/`: with a stand-in for TensorRT, and with TensorRT for RTX where its wheel is installed."""
