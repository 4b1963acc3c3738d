from __future__ import annotations

import subprocess
import sys


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, otgen.data; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"mlxtend", "pandas", "sklearn", "pyarrow", "PIL", "scipy", "matplotlib"}
