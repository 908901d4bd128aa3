"""Checked readers of what people pass in: numbers, zones, amounts."""
