"""How the embedded models were made: the world, the models, and one resumable command for each."""

from training.base import guard

guard.prepare()  # every module below imports diffusers or transformers
