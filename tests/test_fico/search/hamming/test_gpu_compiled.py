"""The GPU kernels compiled for real devices without one: down to machine code, from the calls that search makes."""

import importlib.util
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
KINDS = {torch.float16: "*fp16", torch.float32: "*fp32", torch.int8: "*i8", torch.int16: "*i16"}
KINDS |= {torch.int32: "*i32", torch.int64: "*i64"}


def compiled(capability):
    """PTX of every kernel by name, as the search launches it; runs in a process of its own, whose Triton compiles."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.runtime import JITFunction

    from fico.codes import HashCodes
    from fico.search.gpu.gather_triton import gathered
    from fico.search.gpu.threshold_triton import keep
    from fico.search.hamming.gpu import DeviceCodes
    from fico.search.hamming.gpu_triton import nearest

    made = {}

    def instead_of_a_launch(kernel, *args, grid, warmup, **options):
        given = dict(zip(kernel.arg_names, args, strict=True))
        fixed = {
            name for name, parameter in zip(kernel.arg_names, kernel.params, strict=True) if parameter.is_constexpr
        }
        kinds = {
            name: "constexpr" if name in fixed else KINDS[value.dtype] if torch.is_tensor(value) else "i32"
            for name, value in given.items()
        }
        constants = {(place,): given[name] for place, name in enumerate(kernel.arg_names) if name in fixed}
        source = ASTSource(kernel, kinds, constants)
        binary = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
        assert binary.asm["cubin"]
        made[kernel.fn.__name__, *(given[name] for name in ("width", "words") if name in given)] = binary.asm["ptx"]

    JITFunction.run = instead_of_a_launch
    for bits in (64, 256, 512):
        codes = HashCodes.from_packed(torch.zeros(200, bits // 8, dtype=torch.uint8).numpy(), bits)
        index = DeviceCodes("cpu", nearest)
        index.add(codes)
        for _ in index.tiles(codes[:3], 10):
            pass
    for kind in (torch.float32, torch.float16):
        gathered(torch.zeros(9, 300, dtype=kind), torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 300))
    counts, values = torch.zeros(2, dtype=torch.int32), torch.zeros(2, 7, dtype=torch.float16)
    keep(torch.zeros(2, 50, dtype=torch.float16), values[:, 0], 0, counts, values, values.int())
    return made


def shared_memory(capability, width, stages):
    """Bytes that the first kernel asks for, compiled as for aligned pointers; runs in a process of its own."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from fico.search.hamming import gpu_triton
    from fico.search.hamming.layout import GPU_FILL, GPU_PART, GPU_QUERIES

    kernel = gpu_triton._least_kernel
    sizes = {"width": width, "part": min(width, GPU_PART), "rows": GPU_QUERIES, "columns": GPU_FILL}
    sizes |= {"group": gpu_triton.GROUP, "steps": gpu_triton._STEPS}
    pointers = {"queries": "*i8", "items": "*i8", "least": "*i16"}
    kinds = {name: "constexpr" if name in sizes else pointers.get(name, "i32") for name in kernel.arg_names}
    constants = {(kernel.arg_names.index(name),): size for name, size in sizes.items()}
    aligned = [*pointers, "padded", "stride", "bits"]
    attributes = {(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in aligned}
    source = ASTSource(kernel, kinds, constants, attributes)
    options = {"num_warps": 8, "num_stages": stages}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).metadata.shared


@pytest.mark.parametrize("capability", [80, 90])
def test_no_kernel_asks_for_more_shared_memory_than_the_bound(capability, monkeypatch):
    from fico.search.hamming.layout import shared_bytes

    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    cases = [(width, stages) for width in (64, 512, 1024) for stages in (3, 2, 1)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        taken = list(other.map(shared_memory, [capability] * len(cases), *zip(*cases, strict=True)))
    for (width, stages), size in zip(cases, taken, strict=True):
        assert size <= shared_bytes(width, stages), (width, stages)
        if capability == 90 and stages > 1:
            assert size == shared_bytes(width, stages)  # the bound is no larger than it must be


@pytest.mark.parametrize(("capability", "product"), [(80, "mma.sync.aligned"), (90, "wgmma.mma_async")])
def test_kernels_compile_for_devices_that_are_not_here(capability, product, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        made = other.submit(compiled, capability).result()
    names = {name for name, *_ in made}
    assert names == {"_least_kernel", "_list_kernel", "_select_kernel", "_gathered_kernel", "_keep_kernel"}
    for width in (64, 256, 512):  # a product of bytes by the tensor cores
        assert any(product in line and ".s8" in line for line in made["_least_kernel", width].splitlines()), width
