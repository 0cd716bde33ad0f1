"""``python -m llmobs_nb.demodata FOLDER`` writes the demo data into a folder."""

import sys

from .build import write

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m llmobs_nb.demodata FOLDER")
    for path in write(sys.argv[1]):
        print(f"{path} {path.stat().st_size:,} bytes")
