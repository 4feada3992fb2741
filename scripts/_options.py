"""Until the verbs import from _cli."""

from _cli import Asked, Data, Device, Guidance, Model, NoiseSeed, PictureOut, Seed, Steps  # noqa: F401
