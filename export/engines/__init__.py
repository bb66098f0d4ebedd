"""TensorRT engines of a repository's graphs: shapes, identity, building, and what a GPU node does before it serves."""
