"""Faults of real processes: several Tritons, orchestrators and a Redis that are killed, stopped, slowed and cut off."""
