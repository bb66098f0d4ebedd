"""The arms that are measured side by side, on the same weights, requests and seeds."""
