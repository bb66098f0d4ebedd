"""Broken inputs of every kind, in quantity: each has to be read, or to be refused by one of our own errors."""
