"""A request's way through a pipeline, walked by the export: what every component is really given, and the picture."""
