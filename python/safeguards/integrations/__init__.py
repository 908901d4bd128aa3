"""Other libraries' ways of working, for those who use them."""
