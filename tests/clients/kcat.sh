#!/usr/bin/env bash
# kcat, as Debian has it (librdkafka 2.0.2): produce, consume, look around.
# shellcheck source=tests/clients/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
trap 'rm -rf "$directory"' EXIT

# Defaults but for two waits: at the end of a partition, and for a topic that is being created.
k() {
  timeout 20 kcat -b "$BOOTSTRAP" -X fetch.wait.max.ms=50 -X topic.metadata.refresh.fast.interval.ms=50 "$@"
}
topic=kcat-$run_id

keyed_records_come_back() {
  local i
  for i in $(seq 1000); do echo "key-$((i % 50)):value $i"; done >"$directory/sent"
  k -P -t "$topic" -K : -H a=1 -H a=2 -H empty= <"$directory/sent" || because 'produce failed' || return
  k -C -q -e -o beginning -t "$topic" -f '%k:%s\n' >"$directory/found" || because 'consume failed' || return
  same 'records' <(sort "$directory/sent") <(sort "$directory/found") || return
  # Values count upwards within a key: the order of a key is the order it was sent in.
  sort -s -t : -k 1,1 "$directory/found" | sort -s -c -t : -k 1,1 -k 2.7,2n || because 'a key is out of order' || return
  k -C -q -e -o beginning -t "$topic" -f '%h\n' | sort -u >"$directory/headers"
  same 'headers' <(echo 'a=1,a=2,empty=') "$directory/headers"
}

offsets_are_dense() {
  local partition count last
  k -C -q -e -o beginning -t "$topic" -f '%p %o\n' | sort -n -k 1,1 -k 2,2 >"$directory/offsets"
  for partition in 0 1 2; do
    count=$(grep -c "^$partition " "$directory/offsets")
    last=$(grep "^$partition " "$directory/offsets" | tail -n 1 | cut -d ' ' -f 2)
    ((count > 0 && last == count - 1)) || because "partition $partition: $count records, last offset $last" || return
  done
}

metadata_lists_topic() {
  k -L -t "$topic" >"$directory/metadata" || because 'no metadata' || return
  cat "$directory/metadata"
  grep -q "topic \"$topic\" with 3 partitions" "$directory/metadata" || because 'not 3 partitions' || return
  grep -q "broker .* at $BOOTSTRAP" "$directory/metadata" || because "no broker at $BOOTSTRAP" || return
  ! grep -qi error "$directory/metadata" || because 'an error in the metadata'
}

# librdkafka turns compression off in silence if it does not like the advertised versions, so its own log is asked.
compressed() { # CODEC
  local topic=$topic-$1 i
  for i in $(seq 500); do echo "record $i, and again record $i, and again record $i"; done >"$directory/sent"
  k -P -t "$topic" -p 0 -z "$1" -d msg <"$directory/sent" 2>"$directory/debug" || because 'produce failed' || return
  grep -q "MsgVersion 2, .*, $1)" "$directory/debug" || because "librdkafka did not compress with $1" || return
  k -C -q -e -o beginning -t "$topic" -p 0 >"$directory/found" || because 'consume failed' || return
  same 'records' "$directory/sent" "$directory/found"
}
gzip() { compressed gzip; }
snappy() { compressed snappy; }
lz4() { compressed lz4; }
zstd() { compressed zstd; }

read_by_place_and_time() {
  local topic=$topic-time time now
  seq 1 10 | k -P -t "$topic" -p 0 || because 'produce failed' || return
  # The second half is sent in a later millisecond.
  now=$(date +%s%3N)
  await 2 later_than "$now" || because 'the clock stands' || return
  seq 11 20 | k -P -t "$topic" -p 0 || because 'produce failed' || return
  same 'from offset 5, three records' <(seq 6 8) <(k -C -q -t "$topic" -p 0 -o 5 -c 3) || return
  same 'the last three' <(seq 18 20) <(k -C -q -e -t "$topic" -p 0 -o -3) || return
  time=$(k -C -q -t "$topic" -p 0 -o 10 -c 1 -f '%T')
  same 'from the time of offset 10' <(seq 11 20) <(k -C -q -e -t "$topic" -p 0 -o "s@$time") || return
  same 'up to the time of offset 10' <(seq 1 10) <(k -C -q -e -t "$topic" -p 0 -o s@0 -o "e@$time") || return
  same 'asked for the offset of a time' <(echo "$topic [0] offset 10") <(k -Q -t "$topic:0:$time")
}
later_than() { (($(date +%s%3N) > $1)); }

nothing_is_not_empty() {
  local topic=$topic-null
  printf 'gone:\nkept:here\n' | k -P -t "$topic" -p 0 -K : -Z || because 'produce failed' || return
  same 'lengths' <(printf 'gone -1\nkept 4\n') <(k -C -q -e -t "$topic" -p 0 -o beginning -f '%k %S\n')
}

large_record() {
  local topic=$topic-large
  head -c 720000 /dev/urandom | base64 -w 0 >"$directory/sent" # 960,000 bytes
  k -P -t "$topic" -p 0 "$directory/sent" || because 'produce failed' || return
  same 'the record' "$directory/sent" <(k -C -q -e -t "$topic" -p 0 -o beginning -f '%s')
}

every_ack_level() {
  local topic=$topic-acks acks
  for acks in 0 1 -1; do
    echo "acks $acks" | k -P -t "$topic" -p 0 -X "acks=$acks" || because "produce with acks=$acks failed" || return
  done
  echo idempotent | k -P -t "$topic" -p 0 -X enable.idempotence=true || because 'idempotent produce failed' || return
  # Without an acknowledgement a record may come after the next producer's.
  same 'records' <(printf '%s\n' 'acks -1' 'acks 0' 'acks 1' idempotent) \
    <(await 5 holds "$topic" 4 && k -C -q -e -t "$topic" -p 0 -o beginning | LC_ALL=C sort)
}
holds() { (($(k -C -q -e -t "$1" -p 0 -o beginning | wc -l) == $2)); } # TOPIC RECORDS

group_goes_on_where_it_stopped() {
  local topic=$topic-group group=kcat-$run_id
  seq 1 100 | k -P -t "$topic" -p 1 || because 'produce failed' || return
  k -q -e -X auto.offset.reset=earliest -G "$group" "$topic" >"$directory/found" || because 'first read failed' || return
  same 'first read' <(seq 1 100) "$directory/found" || return
  seq 101 150 | k -P -t "$topic" -p 1 || because 'produce failed' || return
  k -q -e -X auto.offset.reset=earliest -G "$group" "$topic" >"$directory/found" || because 'second read failed' || return
  same 'second read' <(seq 101 150) "$directory/found"
}

scenario 'keyed records with headers come back, in order per key' keyed_records_come_back
scenario 'offsets are dense from 0' offsets_are_dense
scenario 'metadata lists broker, topic and partitions' metadata_lists_topic
for codec in gzip snappy lz4 zstd; do scenario "$codec" "$codec"; done
scenario 'reads by offset, from the end and by time' read_by_place_and_time
scenario 'a null value is not an empty one' nothing_is_not_empty
scenario 'a record of 960,000 bytes' large_record
scenario 'acks 0, 1, all and idempotent' every_ack_level
scenario 'a group goes on where it stopped' group_goes_on_where_it_stopped
exit "$failed"
