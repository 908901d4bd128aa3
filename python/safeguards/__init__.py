"""Budget control for platforms that run many AI agents."""
