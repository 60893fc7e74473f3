"""Describes segments: profiles, names, actions, traits, and transitions between runs."""
