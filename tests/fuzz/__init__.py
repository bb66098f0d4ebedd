"""Coverage-guided fuzzing of every decoder and parser, and of whole requests through a running server."""
