"""Constants that the Hamming search and its kernels share; nothing is compiled or loaded here.

Numba's cache looks at the file of a function alone: who changes a number of the CPU changes `kernel` as well.
"""

SHARED = 8  # queries from which the shared first layer of a slab is worth making
ID_BITS = 48  # on the CPU a hit is one integer: distance above, id below, so that integer order is (distance, id)
GPU_ID_BITS = 40  # the same on a GPU
GPU_FILL = 128  # on a GPU items are padded to a multiple of this
GPU_QUERIES = 128  # queries of one product on a GPU; its items are `GPU_FILL`
GPU_PART = 128  # bits of one product on a GPU
_STAGES = (3, 2, 1)  # of Triton's software pipeline, deepest first; 3 is Triton's own choice, 1 is none
_REDUCTION_BYTES = 512  # what the least distance of a group is exchanged through


def shared_bytes(width: int, stages: int) -> int:
    """Shared memory that the first fused kernel takes, at most.

    Each step of its loop loads the items of every part of the code, and the queries of every part but the first, which
    stay in shared memory; Triton's pipeline keeps as many of these steps in flight as there are stages. With 3 stages
    that is 360,960 bytes at 512 bits, which an H200 (232,448) refuses. Without a pipeline the operands of one product
    lie there, beside the first queries, whatever the width.

    Args:
        width: Bytes of a code on the device: a sign for each bit, filled up to a power of two from 32 on.
        stages: Of the pipeline.
    """
    part = min(width, GPU_PART)
    tiles = 2 if stages == 1 else stages * (2 * (width // part) - 1)
    return part * (GPU_QUERIES + tiles * max(GPU_QUERIES, GPU_FILL)) + _REDUCTION_BYTES


def pipeline_stages(width: int, available: int) -> int:
    """Deepest pipeline of the first fused kernel that fits the shared memory of a device; 0 if none does.

    Args:
        width: As for ``shared_bytes``.
        available: Bytes of shared memory that one block of threads may take.
    """
    return next((stages for stages in _STAGES if shared_bytes(width, stages) <= available), 0)
