"""The audience: what the sender picked, who that is, and what the check page says about it."""
