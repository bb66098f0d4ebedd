"""The wire: messages of `backdrop.v1` in and out, errors as statuses, health, and the life of the server."""
