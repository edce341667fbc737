"""Sizes that the Hamming search and its kernels agree on; nothing is compiled or loaded here.

Numba's cache looks at the file of a function alone: who changes a number of the CPU changes `kernel` as well.
"""

SHARED = 8  # queries from which the shared first layer of a slab is worth making
ID_BITS = 48  # on the CPU a hit is one integer: distance above, id below, so that integer order is (distance, id)
GPU_ID_BITS = 40  # the same on a GPU
GPU_FILL = 128  # on a GPU items are filled up to a multiple of so many
