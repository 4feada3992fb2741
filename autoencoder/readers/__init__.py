"""Networks that look at glyphs and draw none."""
