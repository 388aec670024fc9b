#!/bin/sh
# Three brokers, three collectors and PostgreSQL on one machine, each with a data
# directory and ports of its own. docs/scale-out.md says what is different on several.
#
#   cluster.sh up            start all of it and wait; an interrupt stops it and leaves
#                            the data, SECONDS_UP=n ends it after so many seconds
#   cluster.sh prepare       make keys, certificate, users and configurations, once
#   cluster.sh broker N      become broker N (1 to 3)
#   cluster.sh collector N   become collector N
#   cluster.sh users         tell the brokers which hosts there are, after each change
#
# DIR      where everything is (cluster)
# STORE    address of the PostgreSQL database; a private server is started without it
# ADDRESS  addresses of the brokers (127.0.0.1 127.0.0.1 127.0.0.1)
# PORT     of the first broker (4222); the ports up to PORT+40 are used
# PROGRAMS folder of flopwatch-collector, flopwatchctl and nats-server, "" for PATH
set -eu
DIR=${DIR:-cluster} ADDRESS=${ADDRESS:-127.0.0.1 127.0.0.1 127.0.0.1} PORT=${PORT:-4222} PARTITIONS=${PARTITIONS:-16}
[ -z "${PROGRAMS:-}" ] || PATH=$PROGRAMS:$PATH
mkdir -p "$DIR" && cd "$DIR" && umask 077
[ -n "${STORE:-}" ] || STORE="postgres://flopwatch@/flopwatch?host=$PWD/postgres"

address() { echo "$ADDRESS" | cut -d' ' -f"$1"; }

urls() { for i in 1 2 3; do printf '%stls://%s:%s' "$([ $i = 1 ] || echo ,)" "$(address $i)" $((PORT + i - 1)); done; }

# Everything that the three share: keys, the agents' authority, the vault, and the
# brokers' certificate and users. A collector on a database of its own makes them.
prepare() {
  [ ! -e shared/ready ] || return 0
  user=$(flopwatch-collector nats --data shared --out shared | grep -o 'U[A-Z2-7]\{55\}')
  flopwatch-collector serve --data first --shared shared --agents 127.0.0.1:0 2>first.log >first.out & first=$!
  for _ in $(seq 120); do
    flopwatchctl --data first hosts nats --collector "$user" >shared/users.conf 2>>first.log && break || sleep 0.5
  done
  kill -INT $first && wait $first
  grep -q "$user" shared/users.conf
  rm -r first shared/evidence # nothing was counted
  route=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  for i in 1 2 3; do
    mkdir -p broker$i
    cat >broker$i/nats-server.conf <<END
# As deploy/nats/nats-server.conf, with routes. Routes carry what hosts signed and the
# brokers' own votes: they belong on a network of the brokers alone.
server_name: flopwatch-nats-$i
listen: "$(address $i):$((PORT + i - 1))"
tls { cert_file: "$PWD/shared/server.pem", key_file: "$PWD/shared/server.key", min_version: "1.3", timeout: 2 }
authorization { timeout: 2 }
max_payload: 1052672
max_control_line: 1024
max_connections: 65536
max_subscriptions: $((PARTITIONS * 2 + 32)) # of one connection: a collector has one for each partition
ping_interval: "5s"
ping_max: 2
jetstream { store_dir: "$PWD/broker$i/jetstream", max_file_store: 4GB, max_memory_store: 16MB }
cluster {
  name: flopwatch
  listen: "$(address $i):$((PORT + 10 + i - 1))"
  authorization { user: route, password: "$route", timeout: 2 }
  routes: [$(for j in 1 2 3; do printf '%s"nats://route:%s@%s:%s"' "$([ $j = 1 ] || echo ', ')" "$route" "$(address $j)" $((PORT + 10 + j - 1)); done)]
}
accounts {
  FLOPWATCH { jetstream: enabled, include "users.conf" }
  SYS {}
}
system_account: SYS
END
    cp shared/users.conf broker$i/users.conf
  done
  touch shared/ready
}

broker() { exec nats-server -c broker"$1"/nats-server.conf -P "$PWD/broker$1/pid" -l "$PWD/broker$1/log"; }

collector() {
  exec flopwatch-collector serve --data collector"$1" --shared shared --name c"$1" --store "$STORE" --partitions "$PARTITIONS" \
    --agents 127.0.0.1:$((PORT + 20 + $1 - 1)) --broker-url "$(urls)" --broker-seed shared/collector.nk --broker-replicas 3
}

users() {
  user=$(flopwatch-collector nats --data shared --out shared | grep -o 'U[A-Z2-7]\{55\}')
  for i in 1 2 3; do
    flopwatchctl --data collector"${1:-1}" hosts nats --collector "$user" >broker$i/users.new
    mv broker$i/users.new broker$i/users.conf
    [ ! -e broker$i/pid ] || kill -HUP "$(cat broker$i/pid)" 2>/dev/null || true
  done
}

# A private server, by a user that is not root: PostgreSQL refuses that.
postgres() {
  bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
  [ -d postgres ] || "$bin/initdb" --data-checksums -E UTF8 --locale=C -A trust -U flopwatch -D postgres >postgres.log
  "$bin/postgres" -D postgres -k "$PWD/postgres" -c listen_addresses= >>postgres.log 2>&1 & pids="$pids $!"
  for _ in $(seq 60); do "$bin/pg_isready" -q -h "$PWD/postgres" -U flopwatch -d postgres && break || sleep 0.5; done
  "$bin/psql" -qtA -h "$PWD/postgres" -U flopwatch -d postgres -c "SELECT 1 FROM pg_database WHERE datname = 'flopwatch'" | grep -q 1 ||
    "$bin/createdb" -h "$PWD/postgres" -U flopwatch flopwatch
}

up() {
  pids=
  trap 'trap - INT TERM EXIT; for p in $(echo $pids | tr " " "\n" | tac); do kill -INT $p 2>/dev/null && wait $p || true; done' INT TERM EXIT
  case $STORE in *"$PWD/postgres") postgres ;; esac
  flopwatch-collector migrate --to "$STORE"
  prepare
  for i in 1 2 3; do (broker $i) & pids="$pids $!"; done
  for i in 1 2 3; do (collector $i) 2>collector$i.log & pids="$pids $!"; done
  echo "hosts enrol at 127.0.0.1:$((PORT + 20)) to 127.0.0.1:$((PORT + 22)); flopwatchctl --data $PWD/collector1 status"
  sleep "${SECONDS_UP:-2147483647}" & wait $!
}

command=${1:-up}
[ $# = 0 ] || shift
"$command" "$@"
