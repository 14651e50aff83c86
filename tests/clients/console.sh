#!/usr/bin/env bash
# Apache Kafka's own command-line tools, from its published jars (tools/kafka).
# shellcheck source=tests/clients/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kafka=$(dirname "${BASH_SOURCE[0]}")/../../tools/kafka
export KAFKA_HEAP_OPTS='-Xmx256M -XX:TieredStopAtLevel=1' # a tool lives for a second

topic=console-$run_id
group=console-$run_id
partitions=4
consumers=() # pids
producer=''

tool() { timeout 40 "$kafka" tool "$1" --bootstrap-server "$BOOTSTRAP" "${@:2}"; } # NAME ARGUMENT...
tidy() {
  local pid
  for pid in $producer "${consumers[@]}"; do kill "$pid" && wait "$pid"; done 2>/dev/null
  rm -rf "$directory"
}
trap tidy EXIT

topic_is_created() {
  tool topics --create --topic "$topic" --partitions "$partitions" --config retention.ms=86400000 ||
    because 'create failed' || return
  tool topics --describe --topic "$topic" >"$directory/described" || because 'describe failed' || return
  cat "$directory/described"
  grep -q "Topic: $topic.*PartitionCount: $partitions.*Configs:.*retention.ms=86400000" "$directory/described" ||
    because 'the description lacks what was asked for' || return
  (($(grep -c 'Leader: [0-9]' "$directory/described") == partitions)) || because 'a partition has no leader'
}

existing_topic_is_refused() {
  if tool topics --create --topic "$topic" >"$directory/refused" 2>&1; then because 'created twice'; fi || return
  cat "$directory/refused"
  grep -q TopicExistsException "$directory/refused" || because 'refused, but not as a topic that exists'
}

# The producer is kept open while the consumers join, and sends until both have read something.
group_of_two_reads_all_once() {
  local member sent=0 deadline=$((SECONDS + 40))
  for member in a b; do
    timeout 90 "$kafka" tool console-consumer --bootstrap-server "$BOOTSTRAP" --topic "$topic" --group "$group" \
      --from-beginning --formatter-property print.partition=true >"$directory/read.$member" 2>"$directory/log.$member" &
    consumers+=($!)
  done
  mkfifo "$directory/lines"
  timeout 90 "$kafka" tool console-producer --bootstrap-server "$BOOTSTRAP" --topic "$topic" \
    --reader-property parse.key=true --reader-property key.separator=: <"$directory/lines" &
  producer=$!
  exec {lines}>"$directory/lines"

  until [[ -s $directory/read.a && -s $directory/read.b ]]; do
    ((SECONDS < deadline)) || because 'one of two consumers reads nothing in 40 s' || return
    send 40
    sleep 0.2
  done
  # From here on both have their partitions; what comes now shows how they share.
  await 20 both_have "$sent" || because "of $sent records not all were read" || return
  wc -l <"$directory/read.a" >"$directory/before.a"
  wc -l <"$directory/read.b" >"$directory/before.b"
  send 400
  exec {lines}>&-
  wait "$producer" || because 'the producer failed' || return
  producer=''
  await 20 both_have "$sent" || because "of $sent records not all were read" || return
  # Stopped as by Ctrl-C: they commit and leave.
  kill "${consumers[@]}"
  wait "${consumers[@]}"
  consumers=()

  same 'records read by the two' <(seq "$sent" | sort) <(cut -f 2 "$directory/read.a" "$directory/read.b" | sort) || return
  for member in a b; do
    tail -n "+$(($(cat "$directory/before.$member") + 1))" "$directory/read.$member" | cut -f 1 | sort -u >"$directory/share.$member"
    [[ -s $directory/share.$member ]] || because "consumer $member got no partition" || return
  done
  same 'partitions shared out' <(seq 0 $((partitions - 1)) | sed 's/^/Partition:/') <(sort "$directory/share.a" "$directory/share.b")
}
send() { # RECORDS, numbered on from $sent, spread over keys
  local last=$((sent + $1))
  while ((sent < last)); do
    sent=$((sent + 1))
    echo "key-$((sent % 97)):$sent"
  done >&"$lines"
}
both_have() { (($(cat "$directory/read.a" "$directory/read.b" | wc -l) >= $1)); } # RECORDS

ends_are_told() {
  tool get-offsets --topic "$topic" >"$directory/ends" || because 'get-offsets failed' || return
  cat "$directory/ends"
  local read
  read=$(cat "$directory/read.a" "$directory/read.b" | wc -l)
  (($(awk -F: '{ sum += $3 } END { print sum }' "$directory/ends") == read)) || because "the ends do not add up to $read"
}

settings_are_told() {
  tool configs --describe --all --entity-type topics --entity-name "$topic" >"$directory/settings" ||
    because 'configs failed' || return
  cat "$directory/settings"
  grep -q 'retention.ms=86400000 ' "$directory/settings" || because 'retention.ms is not what was set' || return
  grep -q 'cleanup.policy=delete ' "$directory/settings" || because 'no cleanup.policy' || return
  grep -q 'max.message.bytes=[0-9]' "$directory/settings" || because 'no max.message.bytes'
}

settings_are_changed() {
  tool configs --alter --entity-type topics --entity-name "$topic" --add-config retention.ms=172800000,max.message.bytes=65536 ||
    because 'alter failed' || return
  tool configs --alter --entity-type topics --entity-name "$topic" --delete-config max.message.bytes ||
    because 'alter failed to delete a setting' || return
  tool configs --describe --entity-type topics --entity-name "$topic" >"$directory/changed" || because 'configs failed' || return
  cat "$directory/changed"
  grep -q 'retention.ms=172800000 ' "$directory/changed" || because 'retention.ms is not what was set' || return
  ! grep -q 'max.message.bytes=65536' "$directory/changed" || because 'max.message.bytes is still set' || return
  if tool configs --alter --entity-type topics --entity-name "$topic" --add-config retention.ms=soon >"$directory/refused" 2>&1; then
    because 'a retention of «soon» was taken'
  fi || return
  cat "$directory/refused"
  grep -q InvalidConfigurationException "$directory/refused" || because 'refused, but not as a wrong setting'
}

topic_grows() {
  tool topics --alter --topic "$topic" --partitions $((partitions + 2)) || because 'alter failed' || return
  tool topics --describe --topic "$topic" >"$directory/grown" || because 'describe failed' || return
  cat "$directory/grown"
  grep -q "Topic: $topic.*PartitionCount: $((partitions + 2))" "$directory/grown" || because 'it has not grown' || return
  if tool topics --alter --topic "$topic" --partitions 1 >"$directory/refused" 2>&1; then because 'it shrank'; fi || return
  cat "$directory/refused"
  grep -q InvalidPartitionsException "$directory/refused" || because 'refused, but not as too few'
}

group_is_described() {
  tool consumer-groups --describe --group "$group" >"$directory/group" 2>&1 || because 'consumer-groups failed' || return
  cat "$directory/group"
  # GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG …
  (($(awk -v topic="$topic" '$2 == topic && $4 == $5 && $6 == 0' "$directory/group" | wc -l) == partitions)) ||
    because 'not every partition is committed to its end'
}

topic_is_deleted() {
  tool topics --delete --topic "$topic" || because 'delete failed' || return
  tool topics --list >"$directory/topics" || because 'list failed' || return
  ! grep -qx "$topic" "$directory/topics" || because 'still listed'
}

scenario 'topics: create and describe' topic_is_created
scenario 'topics: an existing topic is refused' existing_topic_is_refused
scenario 'console-producer, and console-consumers in a group of two' group_of_two_reads_all_once
scenario 'get-offsets' ends_are_told
scenario 'configs: describe' settings_are_told
scenario 'consumer-groups: describe' group_is_described
scenario 'configs: alter' settings_are_changed
scenario 'topics: alter' topic_grows
scenario 'topics: delete and list' topic_is_deleted
exit "$failed"
