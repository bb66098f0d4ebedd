"""Who calls: certificates and tokens to an identity, an identity to a tenant and to what it may do."""
