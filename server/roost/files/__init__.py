"""Bytes of files: uploads by tus 1.0, chunks, downloads, signed links."""
