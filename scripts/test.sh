#!/usr/bin/env bash
# Install what the tests need, then run the linter and all tests. Arguments go to pytest.
set -euo pipefail
unset CDPATH # with it cd can go elsewhere, and prints where

if [[ ${1-} == -h || ${1-} == --help ]]; then
    cat <<'USAGE'
usage: bash scripts/test.sh [PYTEST_ARGUMENT ...]

Installs into the active virtual environment, or into .venv, which it makes; then runs ruff and the tests. With the
environment variable OCTFLUID_SHARED_DATA set to a folder of real data, the tests that need them run too; the tests that need
a GPU run where there is one.

example:
  bash scripts/test.sh -k record
USAGE
    exit 0
fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib_install.sh
install_octfluid dev
"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m pytest "$@"
