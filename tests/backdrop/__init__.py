"""Tests of the SDK, its fake and its command line; one file for each thing they hold."""
