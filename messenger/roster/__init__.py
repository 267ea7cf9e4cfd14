"""Rosters: OneRoster bundles read, checked, compared and applied, and a demo district to read.

``importer.import_roster`` is the door. What a person decides (preferences, private flags, the
Messenger mark, consent) is created here once and never changed here.
"""
