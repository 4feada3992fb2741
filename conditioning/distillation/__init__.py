"""How the bundled text encoder is trained."""
