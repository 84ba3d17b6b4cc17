"""What the hooks share; standard library only, and as little of it as each needs."""
