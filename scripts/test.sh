#!/usr/bin/env bash
# Install what the tests need, then run the linters and the tests. Other arguments go to pytest.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

if [[ ${1-} == -h || ${1-} == --help ]]; then
    cat <<'USAGE'
usage: bash scripts/test.sh [--all] [PYTEST_ARGUMENT ...]

Installs into the active virtual environment, or into .venv, which it makes. Runs the linters, then the first tier of the tests
(minutes), in two processes, or as many as -n names. Tests that need real data run if the environment variable
OCTFLUID_SHARED_DATA names their folder.

  --all   also run the second tier (marked slow): guides, crashes, changed files, browser; takes minutes

example:
  bash scripts/test.sh -k record
USAGE
    exit 0
fi

arguments=()
if [[ ${1-} == --all ]]; then
    shift
    arguments=(-m 'slow or not slow')
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib_install.sh
install_octfluid dev
"$python" -m ruff check .
"$python" -m ruff format --check .
# The layers of pyproject.toml: imports run one way.
"$python" -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-cache --no-logo
export OMP_NUM_THREADS=${OMP_NUM_THREADS-1} # each process of the tests has a core
# The odd expansion is for bash 3 and 4.3 (macOS), where an empty array counts as unset.
"$python" -m pytest -n 2 --dist worksteal ${arguments[@]+"${arguments[@]}"} "$@"
