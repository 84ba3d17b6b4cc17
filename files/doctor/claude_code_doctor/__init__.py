"""The doctor of a developer's host: looks at all that numbers and guard need, and names what is wrong."""
