"""Checked readers of what people pass in: numbers, arrays, zones."""
