"""Which environments there are, and what is installed in each."""

from typing import NamedTuple


class EnvironmentUnknownError(ValueError):
    """No environment has that name; the message lists those that there are."""


class Archive(NamedTuple):
    """What is kept of an npm package.

    Args:
        sha512: of the package's archive, as npm writes it: nothing else is installed.
        files: of the archive, below "package/".
    """

    sha512: str
    files: tuple[str, ...]


class Environment(NamedTuple):
    """A virtual environment for one target, or the files of an npm package.

    Args:
        name: of the target, and of its folder.
        says: one line on what it is for.
        requirements: for pip, or one for npm.
        modules: that its check imports.
        packages: whose versions are noted.
        dependencies: whether what the packages declare to need is installed, too.
        torch: what PyTorch's version begins with, where it is needed; "" where it is not.
        sharing: whether the PyTorch that runs featherweight may serve, if it is of that version.
        disk_bytes: about, with a PyTorch of its own where it needs one.
        shared_bytes: about, where it shares one.
        npm: of an npm package, what is kept of it; None: it is a virtual environment.
    """

    name: str
    says: str
    requirements: tuple[str, ...]
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    dependencies: bool = True
    torch: str = ""
    sharing: bool = False
    disk_bytes: int = 0
    shared_bytes: int = 0
    npm: Archive | None = None


_ROWS = (
    Environment(
        "ncnn",
        "ncnn and its converter pnnx: phones and small boards, no PyTorch in it",
        ("ncnn==1.0.20261020", "pnnx==20261020", "numpy==2.4.6"),
        modules=("ncnn", "numpy"),
        packages=("ncnn", "pnnx", "numpy"),
        # pnnx declares torch, which only its Python functions need, and ncnn what its model zoo downloads with. We run
        # pnnx's program, and load files of our own.
        dependencies=False,
        disk_bytes=200_000_000,
    ),
    Environment(
        "executorch",
        "ExecuTorch with XNNPACK: PyTorch's own way onto phones",
        # It declares no version of torch, but is compiled for this one: with others it fails when it runs.
        ("executorch==1.5.1", "torchao==0.18.0", "torch==2.15.*"),
        modules=("executorch.exir", "executorch.runtime", "torchao.quantization.pt2e"),
        packages=("executorch", "torch", "torchao", "numpy"),
        torch="2.15.",
        sharing=True,
        disk_bytes=6_000_000_000,
        shared_bytes=400_000_000,
    ),
    Environment(
        "litert",
        "LiteRT, once TensorFlow Lite: Android",
        ("litert-torch==0.10.0", "ai-edge-litert==2.3.0", "torch==2.14.1"),
        modules=("litert_torch", "ai_edge_litert.interpreter", "ai_edge_quantizer"),
        packages=("litert-torch", "ai-edge-litert", "ai-edge-quantizer", "torch", "numpy"),
        torch="2.14.",  # litert-torch wants torch<2.15: it cannot share ours
        disk_bytes=7_000_000_000,
    ),
    Environment(
        "web",
        "onnxruntime-web: what a page for the browser runs on",
        ("onnxruntime-web@1.30.0",),
        modules=(),
        packages=("onnxruntime-web",),
        disk_bytes=50_000_000,  # the archive, while two of its files are taken out
        npm=Archive(
            "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
            # All browsers since 2021 have the SIMD instructions of WebAssembly.
            ("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"),
        ),
    ),
)

ENVIRONMENTS: dict[str, Environment] = {row.name: row for row in _ROWS}
"""Every environment by its name."""


def environment_named(name: str) -> Environment:
    """Return an environment.

    Raises: EnvironmentUnknownError: there is none of that name.

    Example:
        >>> environment_named("ncnn").requirements[0]
        'ncnn==1.0.20261020'
        >>> environment_named("tensorrt")
        Traceback (most recent call last):
        ...
        featherweight.environments._table.EnvironmentUnknownError: no environment is called 'tensorrt'; known: ncnn, ...
    """
    if name not in ENVIRONMENTS:
        raise EnvironmentUnknownError(f"no environment is called {name!r}; known: {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name]
