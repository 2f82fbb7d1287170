"""How often tests repeat what is random: little by themselves, and as often as whoever runs them wants."""

import os


def environment_number(name: str, default: int) -> int:
    """A number from the environment."""
    return int(os.environ.get(name, default))
