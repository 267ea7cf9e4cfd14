"""The pages of the log: parse, ask, render. No figure is counted and no right decided here."""
