"""The stages of a request, one file each, with input and output types; `orchestrator.pipeline` orders them."""
