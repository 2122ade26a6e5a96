#!/usr/bin/env bash
# Two hosts that share one ledger in a synchronous pair of PostgreSQL servers with automatic failover, until Ctrl-C: the monitor and the
# nodes of pg_auto_failover and two servers of atm, in a temporary folder. docs/failover.md has the reason of each setting.
# Needs Debian's packages pg-auto-failover-cli and postgresql-15-auto-failover, and a build with the feature: cargo build -p atm-host --features postgres
# Usage: failover.sh [--nodes 2|3] [--fail kill|server|freeze|stop|standby] [PATH OF atm]
#   --nodes 3   two standbys, of which one has each commit before it is acknowledged
#   --fail      while terminals work: kills the primary, all its processes (kill) or PostgreSQL alone (server), stops its PostgreSQL
#               (freeze) or all its processes (stop, both with SIGSTOP), or kills a standby; prints how long no operation was
#               acknowledged, brings the node back, and compares all that was acknowledged with the tables
set -euo pipefail

kind='' nodes=2
while [[ ${1-} = -* ]]; do
    case "$1 ${2-}" in
        '--nodes 2' | '--nodes 3') nodes=$2 ;;
        '--fail kill' | '--fail server' | '--fail freeze' | '--fail stop' | '--fail standby') kind=$2 ;;
        *)
            sed -n 's/^# Usage/usage/p' "$0" >&2
            exit 2
            ;;
    esac
    shift 2
done
atm=${1:-target/debug/atm}

programs=/usr/lib/postgresql/15/bin
if ! command -v pg_autoctl >/dev/null || [ ! -e /usr/share/postgresql/15/extension/pgautofailover.control ]; then
    echo 'pg_auto_failover is not installed: apt-get install pg-auto-failover-cli postgresql-15-auto-failover' >&2
    exit 1
fi
folder=$(mktemp -d)

# PostgreSQL refuses to run as root. All that pg_autoctl writes is in the folder, and so are the servers' sockets.
as=(env "HOME=$folder" "PATH=$programs:/usr/bin:/bin" "PG_REGRESS_SOCK_DIR=$folder" "PGHOST=$folder"
    "XDG_CONFIG_HOME=$folder/config" "XDG_DATA_HOME=$folder/state" "XDG_RUNTIME_DIR=$folder/run")
if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups "${as[@]}")
fi

# Where this folder is missing, pg_autoctl takes one that it shares with other users.
"${as[@]}" mkdir "$folder/run"

# A process and all that it has started: PostgreSQL's are each in a group of its own.
tree() {
    ps -e -o pid= -o ppid= | awk -v root="$1" '
        { parent[$1] = $2 }
        END { for (pid in parent) for (up = pid; up in parent; up = parent[up]) if (up == root) { print pid; break } }'
}
# send SIGNAL PROCESS: to all its processes, which are stopped before they are killed: none starts another one meanwhile.
send() {
    local processes
    [ "$1" != KILL ] || send STOP "$2"
    mapfile -t processes < <(tree "$2")
    [ ${#processes[@]} = 0 ] || kill "-$1" "${processes[@]}" 2>/dev/null || true
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$until" ]; then
            tail -n 20 "$folder"/*.log >&2
            echo "not within the time: $*" >&2
            return 1
        fi
        sleep 0.05
    done
}

# What this script has started. It does not report when they are killed.
jobs=() terminals=()
keep() {
    jobs+=("$!")
    disown "$!"
}
are_gone() { ! kill -0 "${jobs[@]}" 2>/dev/null; }
finish() {
    local job
    for job in "${terminals[@]}"; do send KILL "$job"; done
    # The hosts before the database. QUIT: pg_autoctl stops PostgreSQL at once; the others ignore it.
    for job in $(printf '%s\n' "${jobs[@]}" | tac); do
        send CONT "$job"
        kill -QUIT "$job" 2>/dev/null || true
        kill "$job" 2>/dev/null || true
    done
    wait_for 10 are_gone 2>/dev/null || for job in "${jobs[@]}"; do send KILL "$job"; done
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

# A port where no server listens, outside of the range of outgoing connections.
free_port() {
    local port=$((20000 + RANDOM % 10000))
    while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((20000 + RANDOM % 10000)); done
    echo "$port"
}

# start NAME OPTION...: a node of pg_auto_failover, the process ${node[NAME]}.
declare -A port node
start() {
    local name=$1
    shift
    "${as[@]}" pg_autoctl "$@" --pgdata "$folder/$name" >>"$folder/$name.log" 2>&1 &
    node[$name]=$!
    keep
}
# create NAME KIND OPTION...
create() {
    local name=$1
    shift
    port[$name]=$(free_port)
    start "$name" create "$@" --run --pgport "${port[$name]}" --hostname 127.0.0.1 --auth trust --no-ssl
}

# sql NODE STATEMENT
sql() {
    local database=ledger
    [ "$1" != monitor ] || database=pg_auto_failover
    "${as[@]}" psql -XqAt -p "${port[$1]}" -d "$database" -c "$2"
}
is_up() { sql "$1" 'SELECT 1' >/dev/null 2>&1; }
# The copy that a standby begins with waits for a checkpoint of the primary, which takes minutes if it is not ordered.
is_copied() { is_up "$1" || { sql node1 CHECKPOINT >/dev/null 2>&1 || true; false; }; }
# Whether one node takes writes, and all others are synchronous standbys.
is_whole() {
    [ "$(sql monitor "SELECT count(*) || ' ' || count(*) FILTER (WHERE reportedstate = 'primary') FROM pgautofailover.node
                      WHERE reportedstate = goalstate AND reportedstate IN ('primary', 'secondary')")" = "$nodes 1" ]
}
primary() {
    sql monitor "SELECT nodename FROM pgautofailover.node WHERE reportedstate = goalstate AND reportedstate IN ('primary', 'wait_primary')"
}

create monitor monitor
wait_for 60 is_up monitor
while read -r setting value; do
    sql monitor "ALTER SYSTEM SET pgautofailover.$setting = $value"
done <<'SETTINGS'
health_check_period 1000
health_check_timeout 1000
health_check_max_retries 1
health_check_retry_delay 500
node_considered_unhealthy_timeout 3000
primary_demote_timeout 1000
SETTINGS
sql monitor 'SELECT pg_reload_conf()' >/dev/null
monitor="postgres://autoctl_node@127.0.0.1:${port[monitor]}/pg_auto_failover?sslmode=prefer"
addresses=()
for name in $(seq -f node%g "$nodes"); do
    create "$name" postgres --monitor "$monitor" --name "$name" --username atm --dbname ledger --listen 127.0.0.1
    wait_for 60 is_copied "$name"
    addresses+=("127.0.0.1:${port[$name]}")
done
wait_for 60 is_whole
[ "$nodes" = 2 ] || "${as[@]}" pg_autoctl set formation number-sync-standbys 1 --monitor "$monitor" >>"$folder/monitor.log" 2>&1
url="postgres://atm@$(IFS=,; echo "${addresses[*]}")/ledger"

"$atm" ledger migrate --database "$url"
# What hosts report: that they wait for the database is no fault of this run.
if [ -n "$kind" ]; then exec 3>"$folder/hosts.log"; else exec 3>&2; fi
hosts=()
for host in a b; do
    "$atm" serve --listen 127.0.0.1:0 --database "$url" --host-name "$host" --data "$folder/$host" --log warn \
        >"$folder/$host.out" 2>&3 &
    keep
    wait_for 30 grep -qs '^listening on' "$folder/$host.out"
    hosts+=("$(sed -n 's/^listening on \([^ ]*\).*/\1/p' "$folder/$host.out")")
    cat "$folder/$host.out"
done
printf 'the database: %s\n' "$url"
if [ -z "$kind" ]; then
    mkfifo "$folder/never"
    read -r <"$folder/never"
fi

# work TERMINAL: deposits 1, 2, 3 and so on; notes the amount, when it began and ended, and the exit code of the client.
work() {
    local amount=0 began code
    while [ -e "$folder/working" ]; do
        amount=$((amount + 1)) began=$EPOCHREALTIME code=0
        "$atm" client "$(IFS=,; echo "${hosts[*]}")" --terminal "$1" --state "$folder/$1.state" deposit "$amount" \
            >>"$folder/$1.log" 2>&1 || code=$?
        echo "$1 $amount $began $EPOCHREALTIME $code" >>"$folder/$1.done"
    done
}
touch "$folder/working"
for number in 1 2 3 4; do
    work "kiosk-$number" &
    terminals+=($!)
done

# acknowledged SINCE: when the first operation was that began later.
acknowledged() { cat "$folder"/*.done 2>/dev/null | awk -v since="$1" '$5 == 0 && $3 > since { print $4 }' | sort -n | head -n 1 | grep .; }
# seconds FROM TO
seconds() { awk -v from="$1" -v to="$2" 'BEGIN { printf "%.1f s", to - from }'; }

wait_for 60 acknowledged 0 >/dev/null
sleep 2
failed=$(primary)
[ "$kind" != standby ] || failed=$(printf 'node%s\n' 1 2 | grep -v "$failed")
server=$(head -n 1 "$folder/$failed/postmaster.pid")
case $kind in
    kill | standby) send KILL "${node[$failed]}" ;;
    server) kill -KILL "$server" ;;
    freeze) send STOP "$server" ;;
    stop) send STOP "${node[$failed]}" ;;
esac
at=$EPOCHREALTIME
wait_for 120 acknowledged "$at" >/dev/null
printf '%s: %s until the first acknowledged operation\n' "$kind" "$(seconds "$at" "$(acknowledged "$at")")"

sleep 2
case $kind in
    kill | standby)
        # A pg_autoctl that was killed leaves its semaphore, whose id is in this line.
        "${as[@]}" ipcrm -s "$(sed -n 5p "$folder/run/pg_autoctl$folder/$failed/pg_autoctl.pid")"
        start "$failed" run
        ;;
    freeze) send CONT "$server" ;;
    stop) send CONT "${node[$failed]}" ;;
esac
at=$EPOCHREALTIME
wait_for 120 is_whole
printf 'the node is a synchronous standby %s after it came back\n' "$(seconds "$at" "$EPOCHREALTIME")"
rm "$folder/working"
wait "${terminals[@]}"

# Exit code 4 is an unknown outcome, 5 an operation that was not done.
cat "$folder"/*.done >"$folder/ended"
awk '$5 == 0 { print $1, $2 }' "$folder/ended" | sort >"$folder/acknowledged"
awk '$5 == 5 { print $1, $2 }' "$folder/ended" | sort >"$folder/undone"
sql "$(primary)" "SELECT terminal || ' ' || amount / 100 FROM entries WHERE kind = 'done' AND terminal LIKE 'kiosk-%'" | sort >"$folder/tables"
if grep -vq ' [045]$' "$folder/ended" || [ -n "$(uniq -d "$folder/tables")" ] ||
    [ -n "$(comm -23 "$folder/acknowledged" "$folder/tables")" ] || [ -n "$(comm -12 "$folder/undone" "$folder/tables")" ]; then
    tail -n 20 "$folder"/*.log >&2
    echo 'the tables are not what was acknowledged' >&2
    exit 1
fi
"$atm" ledger verify --database "$url" >"$folder/verified" || { cat "$folder/verified" >&2; exit 1; }
printf 'ok: %s acknowledged operations are in the tables, each once\n' "$(wc -l <"$folder/acknowledged")"
