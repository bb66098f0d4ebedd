"""What LoRA files hold: the parts of their keys, the names of their layers, and where their strength stands."""
