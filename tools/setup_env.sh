#!/usr/bin/env bash
# Build the environment of a stack (docs/compatibility.md) and link it into this checkout: `current` as .venv, the others
# as .venv-classic and .venv-onedl. `lite` is what classifiers need of `current`, with no operators to compile.
#
#   tools/setup_env.sh            (what `make venv` runs)
#
# Variables:
#   STACK            current, classic, onedl or lite        (current)
#   PYTHON           interpreter to build from              (python3.11)
#   TORCH            torch requirement                      (the stack's)
#   TORCHVISION      torchvision requirement                (the stack's)
#   MMCV_BUNDLE      1 compiles mmcv's sources in bundles, 0 one by one; what is compiled is the same (1)
#   MAX_JOBS         compilers at a time                    (one a core)
#   SHAKE_MM_CACHE   where environments and wheels are kept (~/.cache/shake_mm)
#
# The heavy part lives outside the checkout, keyed by the requirements, the pins and the interpreter, so every clone
# shares it. `.venv` is a thin environment of this checkout alone: it sees the shared packages and the checkout.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
PYTHON=${PYTHON:-python3.11}
STACK=${STACK:-current}
ENV_VERSION=3  # raise it when the steps below change what they install
CACHE=${SHAKE_MM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shake_mm}
unset PYTHONPATH PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

START=$SECONDS
say() { printf '[venv %4ds] %s\n' $((SECONDS - START)) "$*"; }
die() { printf '[venv] error: %s\n' "$*" >&2; exit 1; }

# ---------------------------------------------------------------- the stacks
# The constraints were recorded with Python 3.11; other interpreters lack some of the versions. The setup.py of mmcv
# 2.1.0 does not find its own version with Python 3.13.
MMCV=mmcv==2.1.0 SETUPTOOLS='setuptools<81' NEWEST_PYTHON=12 LINK=.venv-$STACK
CONSTRAINTS=requirements/constraints-$STACK.txt
PARTS=(mminstall optional interop) ADDED=(runtime analysis tests)
case $STACK in
    current) TORCH=${TORCH:-torch==2.13.0} TORCHVISION=${TORCHVISION:-torchvision==0.28.0}
        LINK=.venv CONSTRAINTS=requirements/constraints.txt PARTS+=(docs deploy trackers) ;;
    classic) TORCH=${TORCH:-torch==2.1.2} TORCHVISION=${TORCHVISION:-torchvision==0.16.2}
        NEWEST_PYTHON=11 PARTS+=(classic) ;;  # torch 2.1 has no wheel for a later Python
    onedl) TORCH=${TORCH:-torch==2.13.0} TORCHVISION=${TORCHVISION:-torchvision==0.28.0}
        MMCV=onedl-mmcv==2.3.6 SETUPTOOLS='setuptools>=80' NEWEST_PYTHON=13 PARTS=(onedl) ;;
    lite) TORCH=${TORCH:-torch==2.13.0} TORCHVISION=${TORCHVISION:-torchvision==0.28.0}
        CONSTRAINTS=requirements/constraints.txt MMCV='' PARTS=(lite) ADDED=(runtime analysis) ;;
    *) die "STACK is '$STACK', which is none of current, classic, onedl, lite" ;;
esac
PARTS+=("${ADDED[@]}")
REQUIREMENTS=("${PARTS[@]/#/requirements/}")
REQUIREMENTS=("${REQUIREMENTS[@]/%/.txt}")
MMCV_NAME=${MMCV%%==*} MMCV_VERSION=${MMCV##*==}
MMCV_FOLDER=${MMCV_NAME//-/_}-$MMCV_VERSION  # as a source distribution spells it

# ---------------------------------------------------------------- what must be there already
command -v "$PYTHON" >/dev/null || die "'$PYTHON' is not on PATH: install Python 3.11, or name an interpreter with PYTHON=..."
"$PYTHON" -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $NEWEST_PYTHON))" ||
    die "$("$PYTHON" --version) is not supported by the $STACK stack: use Python 3.10 to 3.$NEWEST_PYTHON (3.11 is tested), or set PYTHON=..."
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
    die "'$PYTHON' lacks the venv module: install it (Debian: apt-get install python3.11-venv)"
command -v flock >/dev/null || die "'flock' is not on PATH: install util-linux"

key_of() { printf '%s\n' "$@" | sha256sum | cut -c1-16; }
PY_TAG=$("$PYTHON" -c 'import sys, sysconfig; print(sys.version.split()[0], sysconfig.get_platform())')
case $PY_TAG in 3.11.*) CONSTRAINTS=("$CONSTRAINTS") ;; *) CONSTRAINTS=() ;; esac
ENV_KEY=$(key_of "$(cat "${REQUIREMENTS[@]}" ${CONSTRAINTS[@]+"${CONSTRAINTS[@]}"})" \
    "$TORCH" "$TORCHVISION" "$MMCV" "$ENV_VERSION" "$PY_TAG")
ENV=$CACHE/env-$ENV_KEY

# ---------------------------------------------------------------- the shared environment
# `set -e` does not reach into a function that is called before `||`, so what can fail names its own error by `die`.
pip_install() {
    "$ENV/bin/python" -m pip install --quiet ${CONSTRAINTS[@]+"${CONSTRAINTS[@]/#/--constraint=}"} "$@" ||
        die "pip could not install: $* (its own message stands above; run again to go on from here)"
}

step() {  # step NAME MESSAGE COMMAND...: once done, a step is not repeated, so an interrupted build goes on
    local stamp=$ENV/.done-$1 message=$2
    shift 2
    [ -e "$stamp" ] && return
    say "$message"
    "$@"
    touch "$stamp"
}

create_venv() {
    "$PYTHON" -m venv --clear "$ENV" || die "a virtual environment could not be created in $ENV"
}

install_locked() {
    # A hash anywhere makes pip ask for all of them, so these come alone and first; later steps find them there. The
    # file is no part of the environment's key: it names the same versions as the constraints, and adds nothing.
    [ "$STACK ${CONSTRAINTS[*]}" = 'current requirements/constraints.txt' ] || return 0
    "$ENV/bin/python" -m pip install --quiet --no-deps --only-binary=:all: --require-hashes -r requirements/lock.txt ||
        die "the pure Python packages of requirements/lock.txt could not be installed (pip's message stands above)"
}

install_torch() {
    pip_install "$TORCH"
    pip_install --no-deps "$TORCHVISION"
}

check_compiler() {
    "$ENV/bin/python" - <<'PY' || die "a C++ compiler and Python's headers are needed for mmcv's ops: install them (Debian: apt-get install g++ python3-dev)"
import os, shutil, sys, sysconfig
compiler = os.environ.get('CXX', 'g++').split()[0]
headers = os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h'))
sys.exit(not (shutil.which(compiler) and headers))
PY
}

fetch_mmcv() {  # fetch_mmcv FOLDER: leaves the unpacked sources in FOLDER/source
    [ -e "$1/source/setup.py" ] && return
    rm -rf "$1/sdist" "$1/unpacked" "$1/source"
    "$ENV/bin/python" -m pip download --quiet --no-deps --no-build-isolation --no-binary "$MMCV_NAME" \
        --dest "$1/sdist" "$MMCV" >"$1/build.log" 2>&1 ||
        { tail -n 20 "$1/build.log" >&2; die "the sources of $MMCV could not be downloaded"; }
    mkdir -p "$1/unpacked"
    tar -xzf "$1/sdist/$MMCV_FOLDER.tar.gz" -C "$1/unpacked" || die "the sources of mmcv could not be unpacked"
    if bundles; then
        "$ENV/bin/python" tools/misc/bundle_sources.py "$1/unpacked/$MMCV_FOLDER" >>"$1/build.log" ||
            die "the sources of mmcv could not be bundled: set MMCV_BUNDLE=0 to compile them one by one"
    fi
    "$ENV/bin/python" -W ignore - "$1/unpacked/$MMCV_FOLDER/setup.py" <<'PY' || die "the sources of mmcv could not be adapted"
import pathlib, sys, torch
if tuple(int(part) for part in torch.__version__.split('.')[:2]) >= (2, 14):  # its headers ask for C++20
    path = pathlib.Path(sys.argv[1])
    path.write_text(path.read_text(encoding='utf-8').replace('-std=c++17', '-std=c++20'), encoding='utf-8')
PY
    mv "$1/unpacked/$MMCV_FOLDER" "$1/source" || die "the sources of mmcv could not be moved"
}

bundles() {  # whether sources are bundled, which was tried for operators of the CPU alone
    [ "${MMCV_BUNDLE:-1}" != 0 ] && [ "${FORCE_CUDA:-0}" != 1 ] &&
        "$ENV/bin/python" -W ignore -c 'import sys, torch; sys.exit(torch.cuda.is_available())'
}

compile_mmcv() {  # compile_mmcv FOLDER: leaves the wheel in FOLDER/wheels; the sources and objects are kept until then
    local pid number patience=nice
    [ "$(nice)" -eq 0 ] || patience=''  # niceness adds up, and at 19 a compiler hardly gets on
    number=$(ls "$1"/source/mmcv/ops/csrc/pytorch/{,cpu/}*.cpp | wc -l)
    rm -rf "$1/partial"
    set -m  # a process group of its own, so that an interruption ends the compilers too
    # Without -g the compilers need half the time; optimization, and with it every result, stays.
    MMCV_WITH_OPS=1 CFLAGS="-g0 ${CFLAGS:-}" CXXFLAGS="-g0 ${CXXFLAGS:-}" MAX_JOBS=${MAX_JOBS:-$(nproc)} \
        PATH="$ENV/bin:$PATH" $patience \
        "$ENV/bin/python" -m pip wheel --no-deps --no-build-isolation --no-cache-dir \
        --wheel-dir "$1/partial" "$1/source" >>"$1/build.log" 2>&1 &
    pid=$!
    set +m
    trap "kill -- -$pid 2>/dev/null || true" EXIT
    while kill -0 $pid 2>/dev/null; do
        sleep 5
        [ $(((SECONDS - START) / 5 % 12)) -ne 0 ] ||
            say "  mmcv: $(find "$1/source/build" -name '*.o' 2>/dev/null | wc -l) of $number objects compiled"
    done
    wait $pid || { tail -n 30 "$1/build.log" >&2; die "mmcv did not compile: the end of $1/build.log stands above"; }
    trap - EXIT
    mv "$1/partial"/*mmcv-*.whl "$1/wheels/" || die "the wheel of mmcv is missing in $1/partial"
    rm -rf "$1/source/build" "$1/partial"
}

install_mmcv() {
    # mmcv ships no wheel for current torch. The wheel is kept by torch version, because pip's own cache would hand
    # back one built for another torch.
    local torch_version folder
    torch_version=$("$ENV/bin/python" -W ignore -c 'import torch; print(torch.__version__)') ||
        die "torch does not import: delete $ENV and run again"
    folder=$CACHE/$MMCV_NAME-$MMCV_VERSION-$(key_of "$torch_version" "$PY_TAG" "${FORCE_CUDA:-}")
    mkdir -p "$folder/wheels" || die "$folder cannot be written"
    exec 8>"$folder/.lock"
    flock -n 8 || { say "another build of the same mmcv is running: waiting for it"; flock 8; }
    if ! ls "$folder"/wheels/*mmcv-*.whl >/dev/null 2>&1; then
        check_compiler
        say "compiling $MMCV for torch $torch_version: about 2 minutes on 2 idle cores; log in $folder/build.log"
        fetch_mmcv "$folder"
        compile_mmcv "$folder"
    fi
    pip_install "$folder"/wheels/*mmcv-*.whl
    exec 8>&-
}

swap_opencv() {
    # The packages ask for opencv-python, which needs the libraries of a window system; servers often have none.
    local version
    version=$("$ENV/bin/python" -c 'from importlib.metadata import version; print(version("opencv-python"))') ||
        die "opencv-python is missing: delete $ENV and run again"
    "$ENV/bin/python" -m pip uninstall --quiet --yes opencv-python || die "opencv-python could not be removed"
    pip_install --force-reinstall --no-deps "opencv-python-headless==$version"
}

check_imports() {
    "$ENV/bin/python" -c "import torch, cv2, mmengine, ${MMCV:+mmcv._ext, }mmcv" ||
        die "torch, OpenCV, mmengine, mmcv or its compiled ops do not import (the reason stands above): delete $CACHE/mmcv-* and $ENV, then run again"
}

mkdir -p "$CACHE" || die "$CACHE cannot be written: set SHAKE_MM_CACHE"
exec 9>"$CACHE/.lock-$ENV_KEY"
flock -n 9 || { say "another build of this environment is running: waiting for it"; flock 9; }
if [ -e "$ENV/.complete" ]; then
    say "shared environment is ready: $ENV"
else
    say "building $ENV ($STACK stack)"
    step create 'virtual environment' create_venv
    step build "build tools (pip, $SETUPTOOLS, wheel, ninja)" pip_install --upgrade pip "$SETUPTOOLS" wheel ninja packaging
    step locked 'pure Python packages, checked by their hashes' install_locked
    step torch "$TORCH, $TORCHVISION" install_torch
    [ -z "$MMCV" ] || step mmcv "$MMCV with compiled operators" install_mmcv
    step rest "packages of ${REQUIREMENTS[*]}" pip_install "${REQUIREMENTS[@]/#/--requirement=}"
    step opencv 'OpenCV without a window system' swap_opencv
    check_imports
    touch "$ENV/.complete"
fi
exec 9>&-

# ---------------------------------------------------------------- this checkout's own link
exec 9>"$CACHE/.lock-link-$(key_of "$ROOT")"
flock 9
if [ "$(cat $LINK/.linked 2>/dev/null)" != "$ENV $ROOT" ]; then
    say "linking $LINK of this checkout"
    rm -rf $LINK
    "$PYTHON" -m venv --without-pip $LINK || die "$LINK could not be created"
    SHARED=$("$ENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    OWN=$($LINK/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf 'import site; site.addsitedir(%s)\n%s\n' "'$SHARED'" "$ROOT" >"$OWN/shake_mm.pth"
    # Where mmengine.hub looks for a package's configs.
    mkdir -p shake_mm/.mim
    for part in configs tools model-index.yml; do ln -sfn "../../$part" "shake_mm/.mim/$part"; done
    $LINK/bin/python -c 'import shake_mm' || die "shake_mm does not import in the finished environment: see above"
    printf '%s' "$ENV $ROOT" >$LINK/.linked
fi
say "ready: $LINK/bin/python"
