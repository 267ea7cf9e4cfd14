"""The pages of the messenger: parse, call a verb, render. No rule is decided in a view."""
