# Sourced by quickstart.sh and test.sh: a Python with everything this repository needs.

# Sets $python: the interpreter of the active virtual environment, else that of .venv, which is made when missing.
find_python() {
    local candidate
    if [[ -n ${VIRTUAL_ENV-} || -n ${CONDA_PREFIX-} ]]; then
        python=python
    elif [[ -x .venv/bin/python && -f .venv/bin/activate ]]; then # activate is written last
        python=$PWD/.venv/bin/python
    else
        # python3 first: it is the one that the user (or a CI matrix) chose.
        for candidate in python3 python3.13 python3.12 python3.11; do
            if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
                echo "making a virtual environment in .venv"
                rm -rf .venv
                # In place, because activate holds the folder's path.
                "$candidate" -m venv .venv || { rm -rf .venv; exit 1; }
                python=$PWD/.venv/bin/python
                return
            fi
        done
        echo "error: no Python 3.11 to 3.13 found; install one, or activate an environment that has it" >&2
        exit 2
    fi
    if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
        echo "error: $("$python" --version) in the active environment; expected Python 3.11 to 3.13" >&2
        exit 2
    fi
}

# Sets $python: $PYTHON if set, else the active environment's, else .venv's, else python. Makes nothing.
pick_python() {
    if [[ -n ${PYTHON-} ]]; then
        python=$PYTHON
        return
    elif [[ -z ${VIRTUAL_ENV-} && -z ${CONDA_PREFIX-} && -x .venv/bin/python ]]; then
        python=$PWD/.venv/bin/python
    else
        python=python
    fi
    if ! "$python" -c 'import octfluid' 2>/dev/null; then
        echo "error: $python has no octfluid; run bash scripts/quickstart.sh first, or pip install -r requirements.txt" >&2
        exit 2
    fi
}

# Refuses an active environment that runs another checkout, which would run this one from now on.
refuse_other_checkout() {
    local other
    # -I: not what lies here or in PYTHONPATH, but what is installed.
    other=$("$python" -I - <<'CODE'
import json
from importlib import metadata
from urllib.parse import urlsplit
from urllib.request import url2pathname

try:
    said = json.loads(metadata.distribution('octfluid').read_text('direct_url.json') or '{}')
except metadata.PackageNotFoundError:
    said = {}
print(url2pathname(urlsplit(said['url']).path) if said.get('dir_info', {}).get('editable') else '')
CODE
)
    if [[ -d $other && ! $other -ef $PWD ]]; then
        echo "error: the active environment is that of another checkout, $other; deactivate it, and this one makes its own" \
            "(or take octfluid out of it: pip uninstall octfluid)" >&2
        exit 2
    fi
}

# install_octfluid [EXTRA]: installs requirements.txt (and an extra of pyproject.toml) unless that very set is installed.
install_octfluid() {
    local extra=${1-} stamp wanted packages=(-r requirements.txt)
    find_python
    if [[ -n ${VIRTUAL_ENV-}${CONDA_PREFIX-} ]]; then
        refuse_other_checkout
    fi
    stamp=$("$python" -c 'import sys; print(sys.prefix)')/.octfluid-installed${extra:+-$extra}
    wanted="$PWD $(cat requirements.txt pyproject.toml | cksum)"
    if [[ $(cat "$stamp" 2>/dev/null) == "$wanted" ]]; then
        return
    fi
    echo "installing; the first time takes a minute or a few"
    [[ -z $extra ]] || packages+=(-e ".[$extra]")
    # Python compiles a file when it first loads it; pip would compile all 16000, for a minute or more.
    "$python" -m pip install --quiet --disable-pip-version-check --no-compile "${packages[@]}"
    echo "$wanted" >"$stamp"
}
