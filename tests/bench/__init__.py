"""Tests of the measuring: that arms make the same pictures, and that the arithmetic is right. Nothing is timed."""
