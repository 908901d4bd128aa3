"""Writes python/README.md: the README as an index of packages can show it.

It has neither the pictures nor the pages of this tree: pictures are left out, links to pages become text.
`python tests/sync_package_readme.py` writes the file; the tests only ask whether it would change.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE_README = ROOT / "python" / "README.md"
PICTURE = re.compile(r"^!\[[^]]*\]\([^)]*\)\n\n?", re.MULTILINE)
LINK = re.compile(r"\[([^]]+)\]\((?!https?:)[^)]+\)")
MARK = "<!-- Written from README.md by `make generated`. -->\n"


def package_readme():
    """README.md without pictures, and without links into the tree."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return MARK + LINK.sub(r"\1", PICTURE.sub("", text))


if __name__ == "__main__":
    PACKAGE_README.write_text(package_readme(), encoding="utf-8")
