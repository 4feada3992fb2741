"""Looking inside: paths between latents, projections of them, and pages and pictures of both."""
