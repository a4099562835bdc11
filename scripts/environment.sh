# Sourced by the scripts beside it. Plain POSIX sh: dash, and the bash 3.2 that macOS ships, read it too.
#
#   environment .venv-test requirements-test.lock
#
# leaves $root (the clone) and $environment (a virtual environment that holds what the lock file
# names, and src/). The scripts own these folders and rebuild them at will, so `.venv` stays yours.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
unset PYTHONHOME PYTHONPATH # another Python's modules have no business in here

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# environment FOLDER LOCKFILE: makes it, or makes it anew when the lock file changed, the clone moved,
# the Python it was made from is gone, another $PYTHON is asked for, or the last install was cut short.
environment() {
  environment=$root/$1
  stamp="$(cat -- "$root/$2" "$root/scripts/environment.sh" | cksum) $root"
  if [ "$(cat "$environment/.stamp" 2>/dev/null)" = "$stamp" ] &&
    { [ -z "${PYTHON:-}" ] || [ "$(cat "$environment/.python")" = "$PYTHON" ]; } &&
    "$environment/bin/python" -c '' 2>/dev/null; then
    return
  fi
  rm -rf -- "$environment"
  make_environment
  install_packages "$2"
  add_the_project
  printf '%s' "${PYTHON:-}" >"$environment/.python"
  printf '%s' "$stamp" >"$environment/.stamp" # last: without it the next run starts over
}

make_environment() {
  without_pip=
  if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
  else
    set -- python3 python3.14 python3.13 python3.12 python3.11 python
  fi
  for candidate do
    runs "$candidate" 'import sys; assert sys.version_info >= (3, 11)' || continue
    if runs "$candidate" 'import venv, ensurepip'; then
      "$candidate" -m venv "$environment"
      return
    fi
    without_pip=${without_pip:-$candidate}
  done
  if [ -z "$without_pip" ]; then
    fail "This needs Python 3.11 or newer, and ${PYTHON:-python3} is not: install one, or name it: PYTHON=/path/to/python3 $0"
  elif runs virtualenv; then
    virtualenv --quiet --python "$without_pip" "$environment"
  elif runs uv; then
    uv venv --quiet --seed --python "$without_pip" "$environment"
  else
    version=$("$without_pip" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail "$without_pip comes without ensurepip, so it cannot make a virtual environment. On Debian or Ubuntu: apt install python$version-venv; then run $0 again."
  fi
}

# runs PROGRAM [CODE]: is it there and does it do what is asked?
runs() {
  if [ $# -eq 1 ]; then set -- "$1" --version; else set -- "$1" -c "$2"; fi
  "$@" >/dev/null 2>&1
}

install_packages() {
  log=$environment/install.log
  printf '%s' "Installing $(grep -c == "$root/$1") packages into ${environment##*/}, once, in about half a minute … " >&2
  # --no-deps: the lock file is complete, so there is nothing to resolve.
  if "$environment/bin/python" -m pip install --quiet --no-user --no-input --no-deps \
    --disable-pip-version-check --require-hashes --requirement "$root/$1" >"$log" 2>&1; then
    echo done. >&2
    return
  fi
  echo failed: >&2
  grep -v '^WARNING: Location' "$log" | tail -n 12 >&2
  fail "The packages could not be installed (all of it: $log). Is the network there? Then run $0 again."
}

# By a path file, not by pip: an editable install would download a build backend first.
add_the_project() {
  site=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  printf '%s\n' "$root/src" >"$site/commande.pth"
  # -P keeps the caller's folder off the import path; sh, because a #! line cannot hold a space.
  cat >"$environment/bin/commande" <<'END'
#!/bin/sh
exec "$(dirname -- "$0")/python" -P -m commande "$@"
END
  chmod +x "$environment/bin/commande"
}
