"""Sending verified releases to where people get them: folders, object stores, Hugging Face."""
