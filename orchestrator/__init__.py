"""The gRPC service that turns one request into rows for Triton: service, pipeline, stages, sampler, pool and cache."""
