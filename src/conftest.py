"""Without Triton, pytest leaves out the files that import it: to look for examples in a file, it imports the file."""

import re
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
IMPORT = re.compile("^(import|from) triton", re.MULTILINE)

collect_ignore = []
if find_spec("triton") is None:
    files = HERE.rglob("*.py")
    collect_ignore += [str(file.relative_to(HERE)) for file in files if IMPORT.search(file.read_text(encoding="utf-8"))]
