"""Tests of `local/`: real processes on free ports, stopped by their own pids."""
