"""What becomes of every key of every config in a pipeline folder, as tables, and the checks that read them."""
