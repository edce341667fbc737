"""Memory and disk that more items of the coarse-to-fine search take."""

from fico.search.gpu.device import require_device_memory
from fico.search.hamming.gpu import bytes_on_device
from fico.search.hybrid.stored_rows import ROW_BYTES, StoredRows
from fico.util.resources import require_disk, require_memory


def require_resources(
    shape: tuple[int, int],
    bits: int,
    rows: StoredRows,
    held: int,
    device: str,
    train_rows: int = 0,
    is_mapped: bool = False,
) -> None:
    """Refuses what memory, device or disk cannot hold.

    Args:
        shape: ``items dim`` of what is to be added.
        bits: Code length.
        rows: Where the floats go.
        held: Items that are there already.
        device: As torch names it.
        train_rows: Rows that are copied to train on; 0 once that is done.
        is_mapped: The items lie in a mapped file, where the first ``float32`` ones stay.

    Raises:
        UsageError: Something is short (the predicted size is named).
    """
    items, dim = shape
    floats, what = items * dim * ROW_BYTES[rows.kind], f"{items} items of {dim} dimensions as {rows.kind}"
    if device != "cpu":
        require_device_memory(device, floats + items * (bytes_on_device(bits) + 4), what)
        return
    # Codes are held three times while they are put into their lists; list, position, item and norm of each.
    memory = (items + held) * (3 * bits // 8 + 48) + 3 * 4 * dim * min(items, train_rows)
    if rows.path is not None:
        require_disk(rows.path, floats, what)
    elif rows.kind != "float32" or held or not is_mapped:
        memory += floats + rows.memory_bytes
    require_memory(memory, what, "keep the floats in a file (rows_path), narrower (rows), or add fewer items")
