"""The stages of a job, one file each, with their own input and output types; `orchestrator.pipeline` orders them."""
