"""Readers of what callers give: numbers and arrays, checked before anything is done."""
