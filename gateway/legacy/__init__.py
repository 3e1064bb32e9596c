"""The predecessor's configuration, turned into ours."""

from gateway.legacy.importing import Import, import_properties

__all__ = ["Import", "import_properties"]
