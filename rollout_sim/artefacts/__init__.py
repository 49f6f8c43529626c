"""Artefacts: the rollout as templates and settings of the tools that carry it out, and back."""
