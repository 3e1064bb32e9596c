"""A BEST/EDU endpoint for archives on the eFormidling network."""

__version__ = "0.1.0"
