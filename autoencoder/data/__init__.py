"""Glyphs: fonts, the folders they are drawn into, and what training makes of them."""
