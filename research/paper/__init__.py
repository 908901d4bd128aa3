"""The evaluation of She & Leung (2009), run again with `safeguards.allocation`. No part of the package.

`make paper` writes the page, `make tables` the measured tables of docs/allocation.md.
"""
