"""Training of the denoiser and of the prior."""
