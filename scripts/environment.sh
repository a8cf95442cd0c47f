# Read by scripts/demo and scripts/test: makes .venv and installs the project there.
# Usage, in the root of the repository: . scripts/environment.sh; prepare [EXTRAS]

OPENCV_PACKAGES="libgl1 libglib2.0-0"
WINDOW_PACKAGES="xvfb libgl1 libegl1 libgl1-mesa-dri libglib2.0-0 libdbus-1-3 libfontconfig1
libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxkbcommon-x11-0"

fail() {
    echo "$1" >&2
    exit 1
}

# Sets $python to the interpreter of .venv, if pip works there.
find_environment() {
    for python in .venv/bin/python .venv/Scripts/python.exe; do
        [ -x "$python" ] && "$python" -m pip --version >/dev/null 2>&1 && return
    done
    return 1
}

# Removes a .venv without pip: one that was never finished, or whose Python was replaced.
remove_environment() {
    set -- .venv/installed-*
    if [ ! -e "$1" ]; then
        # Other tools, such as uv, make environments without pip. What they filled is not ours.
        set -- .venv/lib*/python*/site-packages/*.dist-info
        [ ! -e "$1" ] || fail "$PWD/.venv holds packages but no pip that works; another tool seems \
to have made it. Rename or remove it, or install pip there, and run this again."
    fi
    rm -rf .venv
}

# Sets $python to the interpreter of .venv, which is made if there is none.
make_environment() {
    find_environment && return
    [ ! -e .venv ] || remove_environment
    for base in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python; do
        if "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "Making .venv with $("$base" --version)"
            "$base" -m venv .venv >/dev/null 2>&1 && find_environment && return
            rm -rf .venv
            # A Python beside Debian's own has a package of its own.
            case "${base##*/}" in
            python3.*) needed="${base##*/}-venv" ;;
            *) needed=python3-venv ;;
            esac
            install_packages "virtual environments" "$needed"
            "$base" -m venv .venv && find_environment && return
            # What is half-made would only hide the reason next time.
            rm -rf .venv
            fail "The virtual environment cannot be made; the lines above tell why. On Debian and \
Ubuntu it needs: sudo apt-get install $needed"
        fi
    done
    fail "Python 3.11 or newer is needed, and none was found. Install one from \
https://www.python.org/downloads/, or name it: PYTHON=/path/to/python3.12 $0"
}

# install_packages WHAT_FOR PACKAGE...: installs Debian packages, or says how.
install_packages() {
    what="$1"
    shift
    command -v dpkg-query >/dev/null 2>&1 || return 0
    missing=""
    for package in "$@"; do
        # Newer releases call some of them libname0t64.
        dpkg-query -W -f='${Status}\n' "$package" "${package}t64" 2>/dev/null |
            grep -q 'install ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -eq 0 ]; then
        echo "Installing Debian packages for $what:$missing"
        # shellcheck disable=SC2086
        if apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
            --no-install-recommends $missing; then
            return 0
        fi
        echo "They could not be installed." >&2
    fi
    echo "For $what, these packages are missing:" >&2
    echo "    sudo apt-get install$missing" >&2
}

# OpenCV needs system libraries that a bare Debian lacks.
check_opencv() {
    "$python" -c 'import cv2' 2>/dev/null && return
    # shellcheck disable=SC2086
    install_packages OpenCV $OPENCV_PACKAGES
    "$python" -c 'import cv2' || fail "OpenCV cannot be loaded; the line above tells why. On \
Debian and Ubuntu it needs: sudo apt-get install $OPENCV_PACKAGES"
}

# Installs the project with EXTRAS; again only when pyproject.toml, or this file, has changed.
prepare() {
    make_environment
    extras="${1:-}"
    stamp=".venv/installed-${extras:-plain}"
    enough="$stamp"
    # An environment with any extras serves those who need none.
    [ -n "$extras" ] || enough=".venv/installed-*"
    wanted=$(cat pyproject.toml scripts/environment.sh | cksum)
    # shellcheck disable=SC2086
    cat $enough 2>/dev/null | grep -qxF "$wanted" && return
    case "$extras" in
    # shellcheck disable=SC2086
    *gui*) install_packages "the napari window, and for its tests" $WINDOW_PACKAGES ;;
    esac
    echo "Installing biopsy-ai into .venv; the first time this takes some minutes"
    # One command for all, so that pip chooses versions of torch and torchvision that fit.
    "$python" -m pip install --disable-pip-version-check -q -e ".${extras:+[$extras]}" ||
        fail "The installation failed; the lines above tell why."
    check_opencv
    echo "$wanted" >"$stamp"
}
