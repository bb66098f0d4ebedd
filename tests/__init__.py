"""Tests mirror the source; contract/, e2e/ and faults/ stand beside the mirrors."""
