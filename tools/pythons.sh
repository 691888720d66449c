#!/bin/sh
# Run the tests on each Python from 3.11 to 3.14 that this machine has, each in a virtual environment of its own:
# tools/pythons.sh [arguments of pytest]. Says at the end which ones passed; fails if one failed or none was found.
set -u
cd "$(dirname "$0")/.." || exit 2
passed='' failed='' missing=''
for version in 3.11 3.12 3.13 3.14; do
    python=''
    for each in "python$version" "$HOME/.pyenv/versions/$version".*/bin/python "$HOME/.local/share/uv/python/cpython-$version".*/bin/python; do
        if "$each" -c "import sys, venv, ensurepip; assert '%d.%d' % sys.version_info[:2] == '$version'" 2>/dev/null; then
            python=$each
        fi
    done
    if [ -z "$python" ]; then
        missing="$missing $version"
        continue
    fi
    home=.venv/python$version
    test -x "$home/bin/pytest" || {
        "$python" -m venv "$home" &&
        "$home/bin/pip" install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,notify,report,dev]'
    }
    if "$home/bin/pytest" -q "$@"; then passed="$passed $version"; else failed="$failed $version"; fi
done
echo "passed:${passed:- none}; failed:${failed:- none}; not on this machine:${missing:- none}"
test -n "$passed" && test -z "$failed"
