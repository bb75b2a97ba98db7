"""One block of a store of responses: a parquet file with the rows of the clip table and one column per tap.

A tap's column holds float32 lists of fixed length, one per clip. The file's metadata carry a *mark*, a hash of what the
block was made from, and its pages carry checksums: a block from elsewhere and one that was damaged are noticed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dha_utils.core.artifacts import hash_rows
from dha_utils.core.errors import DataError
from dha_utils.core.hashing import hash_json
from dha_utils.core.paths import atomic_write

MARK = b"dha"
FAULTS = (pa.ArrowException, ValueError, OSError, LookupError, TypeError, AttributeError)
"""What reading a damaged file raises."""


@dataclass(frozen=True)
class Block:
    """What the manifest says of a block: its clips (how many, hash of their rows), its bytes once it is written."""

    rows: int
    clips_sha256: str
    bytes: int | None = None


def rows_sha256(table: pd.DataFrame, cut: Mapping) -> str:
    """Return the sha256 over the rows of the clip table that make a block, their sound and what is cut out of it included."""
    return hash_json(hash_rows(table, cut))


def write_block(path: Path, table: pd.DataFrame, arrays: Mapping[str, np.ndarray], mark: str) -> None:
    """Write a block, atomically.

    Parameters
    ----------
    path : Path
    table : DataFrame
        Rows of the clip table.
    arrays : dict of str to ndarray, shape (clips, maps), float32
    mark : str

    Raises
    ------
    DataError
        If it cannot be written, as on a full disk.
    """
    columns = pa.Table.from_pandas(table, preserve_index=False)
    for tap, array in arrays.items():
        flat = pa.array(np.ascontiguousarray(array, np.float32).reshape(-1))
        columns = columns.append_column(tap, pa.FixedSizeListArray.from_arrays(flat, array.shape[1]))
    columns = columns.replace_schema_metadata({MARK: mark.encode()})  # none for pandas: it has no checksum
    how = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    try:
        with atomic_write(path) as temporary:
            pq.write_table(columns, temporary, **how)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error}); make room, then go on") from error


def find_fault(path: Path, block: Block, mark: str) -> str | None:
    """Return what is wrong with the file of a block, as part of a sentence, or None; reads only its last bytes."""
    try:
        size = path.stat().st_size
    except OSError:
        return "is missing"
    if block.bytes is not None and size != block.bytes:
        return f"has {size} bytes, not {block.bytes}: it was not written to its end, or changed since"
    try:
        held = pq.read_metadata(path)
    except FAULTS as error:
        return f"is not a parquet file, or cut short ({_reason(error)})"
    if held.num_rows != block.rows or (held.metadata or {}).get(MARK) != mark.encode():
        return "is a block of another store, or of another place in this one"
    return None


def read_table(path: Path, taps: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the clip table in a block whose taps are `taps`.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    columns = [name for name in _parquet(path).schema_arrow.names if name not in taps]
    table = _read(path, columns)
    try:
        return table.to_pandas()
    except FAULTS as error:
        raise _damaged(path, error) from error


def read_arrays(path: Path, taps: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the responses of some taps in a block, each shape (clips, maps), float32; errors as `read_table`."""
    columns = _read(path, taps)
    try:
        flat = {tap: columns[tap].combine_chunks().flatten().to_numpy(zero_copy_only=False) for tap in taps}
        return {tap: values.reshape(len(columns), -1) for tap, values in flat.items()}
    except FAULTS as error:
        raise _damaged(path, error) from error


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except FAULTS as error:
        raise _damaged(path, error) from error


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    with _parquet(path) as file:
        try:
            return file.read(list(columns), use_threads=False)
        except FAULTS as error:
            raise _damaged(path, error) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: is damaged ({_reason(error)}); remove it and run the same extraction again, which makes it anew"
    )
