"""The one-machine cluster: Redis, Triton and the orchestrator as child processes of one command."""
