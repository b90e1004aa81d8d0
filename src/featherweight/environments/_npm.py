"""Files of an npm package, fetched by the user's own npm and held to a known sum."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ._table import Archive


class NpmError(RuntimeError):
    """npm is not there, failed, or gave something else than is known."""


def fetch(package: str, archive: Archive, folder: Path) -> dict[str, str]:
    """Lay the files that are kept of a package into a folder, which exists; return the package's version by its name.

    Args:
        package: its name and version, as `name@1.2.3`.
        archive: what is kept.
    Raises: NpmError.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NpmError(
            f"npm is not installed, and {package} comes as an npm package: apt-get install npm, or Node.js' installer"
        )
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        packed = _packed(npm, package, archive, Path(temporary))
        with tarfile.open(packed) as tar:
            for name in archive.files:
                tar.extract(f"package/{name}", temporary, filter="data")
        for name in archive.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(temporary) / "package" / name).rename(folder / name)
    name, _, version = package.rpartition("@")
    return {name: version}


def sha512_of(file: Path) -> str:
    """Return a file's sum as npm writes it."""
    return base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()


def _packed(npm: str, package: str, archive: Archive, folder: Path) -> Path:
    """Let npm fetch the package's archive into a folder, and check its sum."""
    done = subprocess.run([npm, "pack", package, "--silent"], cwd=folder, capture_output=True, text=True, check=False)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise NpmError(f"npm pack {package} failed: {reason[-1] if reason else 'without a word'}")
    sha512 = sha512_of(archives[0])
    if sha512 != archive.sha512:
        raise NpmError(f"npm gave another {package} than is known: SHA-512 {sha512}, not {archive.sha512}")
    return archives[0]
