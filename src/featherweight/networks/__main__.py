"""`python -m featherweight.networks` counts every variant anew and writes `counts.json` beside this file."""

import json

from featherweight._files import write_atomically

from ._listing import COUNTS_FILE, Counts, count, variants


def main() -> None:
    """Write parameters and multiply-adds of every variant, one a line."""
    lines = [f"  {json.dumps(str(variant))}: {json.dumps(trimmed(count(variant)))}" for variant in variants()]
    write_atomically(COUNTS_FILE, "{\n" + ",\n".join(lines) + "\n}\n")
    print(f"counted {len(lines)} variants: {COUNTS_FILE}")


def trimmed(counts: Counts) -> list[int]:
    """Leave out the additions of networks that have no layer of that kind."""
    return list(counts if counts.additions else counts[:2])


if __name__ == "__main__":
    main()
