"""The arms that are measured side by side, on the same weights, orders and seeds."""
