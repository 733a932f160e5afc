"""A page in one file: all it names stands in it, and the policy allows that alone."""

from __future__ import annotations

import base64
import hashlib

from beam_curator.report.one_page import one_page

INDEX = """<meta content="script-src 'self'; style-src 'self'; media-src 'self'">
<link rel="stylesheet" href="page_files/a.css">
<body>
<script src="page_files/b.js"></script>
<script src="page_files/c.js"></script>
</body>
"""


def hash_of(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_files_and_data_stand_in_the_page_and_their_hashes_in_its_policy() -> None:
    files = {"page_files/a.css": "p { }\n", "page_files/b.js": "f('\\1');\n", "page_files/c.js": "g();\n"}
    script, style = hash_of("f('\\1');\ng();\n"), hash_of("p { }\n")
    assert (
        one_page(INDEX, files, {"x": '"</script><!--"', "y": "[1]"})
        == f"""<meta content="script-src 'sha256-{script}'; style-src 'sha256-{style}'; media-src 'self'">
<style>p {{ }}
</style>
<body>
<script type="application/json" id="data-x">"\\u003c/script>\\u003c!--"</script>
<script type="application/json" id="data-y">[1]</script>
<script>f('\\1');
g();
</script>
</body>
"""
    )
