"""What server and fake share of the contract: limits, the parts of a request, and every check that needs no model.

Nothing here serves or computes pictures. A request is checked against `GetInfoResponse`, which is what a server says
about itself, so the same code refuses the same requests wherever it runs.
"""
