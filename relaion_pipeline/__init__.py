"""Clean, prove and release Common Crawl-derived image-text metadata."""

__version__ = "0.1.0"
