"""`python -m featherweight.networks` counts every variant anew and writes `counts.json` beside this file."""

import json

from featherweight._files import write_atomically

from ._listing import COUNTS_FILE, count, variants


def main() -> None:
    """Write parameters and multiply-adds of every variant, one a line."""
    lines = [f"  {json.dumps(str(variant))}: {json.dumps(count(variant))}" for variant in variants()]
    write_atomically(COUNTS_FILE, "{\n" + ",\n".join(lines) + "\n}\n")
    print(f"counted {len(lines)} variants: {COUNTS_FILE}")


if __name__ == "__main__":
    main()
