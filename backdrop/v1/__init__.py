"""Generated from protos/backdrop/v1; do not edit. `make protos` makes it anew."""
