"""The channels: how a mode leaves the house. Each is found through `registry`."""
