"""Tests of the export's rehearsal."""
