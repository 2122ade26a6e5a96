#!/usr/bin/env bash
# Two hosts that share one ledger in PostgreSQL, until Ctrl-C: a database server in a temporary folder, its tables, and two servers of atm.
# Needs Debian's package `postgresql` and a build with the feature: cargo build -p atm-host --features postgres
# Usage: two_hosts.sh [PATH OF atm]
set -euo pipefail

atm=${1:-target/debug/atm}
programs=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
[ -n "$programs" ] || { echo 'PostgreSQL is not installed: apt-get install postgresql' >&2; exit 1; }
folder=$(mktemp -d)
jobs=()

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi

finish() {
    [ ${#jobs[@]} = 0 ] || kill "${jobs[@]}" 2>/dev/null || true
    wait "${jobs[@]}" 2>/dev/null || true
    "${as[@]}" "$programs/pg_ctl" stop -m fast -D "$folder/database" >/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

"${as[@]}" "$programs/initdb" -D "$folder/database" --auth=trust --username=atm >"$folder/initdb.log"
"${as[@]}" "$programs/pg_ctl" start -w -D "$folder/database" -l "$folder/database.log" \
    -o "-c listen_addresses= -k $folder" >/dev/null
"${as[@]}" "$programs/createdb" -h "$folder" -U atm ledger
url="postgres://atm@${folder//\//%2F}/ledger"

"$atm" ledger migrate --database "$url"
for host in a b; do
    "$atm" serve --listen 127.0.0.1:0 --database "$url" --host-name "$host" --data "$folder/$host" --log warn &
    jobs+=($!)
done
printf 'the database: %s\n' "$url"
wait
