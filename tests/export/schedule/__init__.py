"""Scheduler configs as the export reads them."""
