"""BEST/EDU XML: requests read as a stream, payload forms, receipts, writing."""
