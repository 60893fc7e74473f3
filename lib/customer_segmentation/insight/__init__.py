"""What the segments are: profiles, names, actions, traits, and who moved."""
