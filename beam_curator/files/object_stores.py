"""Object stores, served by Beam's FileSystems, which is loaded when a path first names a store."""

from typing import Any


def file_systems() -> Any:
    """Return Beam's FileSystems; loading it takes a second, which commands on local files do without."""
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def open_object(path: str, *, create: bool = False) -> Any:
    """Open an object's own bytes, compressed or not, for reading, or create it."""
    from apache_beam.io.filesystem import CompressionTypes

    stores = file_systems()
    return (stores.create if create else stores.open)(path, compression_type=CompressionTypes.UNCOMPRESSED)
