"""The measurements, a file to a kind: each says what one round is, and which figures come of all of them."""
