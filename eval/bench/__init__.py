"""Measurements of speed and load: `python -m eval.bench NAME --help`, where NAME is a module of this folder."""
