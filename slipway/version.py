"""The version of the distribution, which is that of the service, too."""

__version__ = "0.1.0"
