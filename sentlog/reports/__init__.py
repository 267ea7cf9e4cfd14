"""The Sent Message Report: one model of what it says, one layout for each format."""
