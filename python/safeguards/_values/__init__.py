"""Checked readers of what people pass in: amounts, numbers, arrays, zones; the arithmetic with amounts."""
