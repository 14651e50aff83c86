# What the client scripts share. One line a scenario: `ok - NAME`, or `not ok - NAME: REASON`; all else goes to stderr.
# shellcheck shell=bash disable=SC2034 # used by the scripts that source this
set -uo pipefail
: "${BOOTSTRAP:?the address of a Kafka listener}"

failed=0
directory=$(mktemp -d)
# Fresh names, so that a run does not see what an earlier one left.
run_id=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')

# Runs one scenario, a function that returns 1 after `because REASON`. All it prints is kept aside, and shown if it fails.
scenario() { # NAME FUNCTION
  local began=${EPOCHREALTIME/./}
  reason=''
  if "$2" >"$directory/$2.log" 2>&1; then
    echo "ok - $1 ($(((${EPOCHREALTIME/./} - began) / 1000)) ms)"
    return
  fi
  failed=1
  echo "not ok - $1: ${reason:-see stderr}"
  tail -n 20 "$directory/$2.log" >&2
}

# Fails the scenario that calls it: `because REASON; return 1`, in one word: `... || because REASON`.
because() { # REASON
  reason=${reason:-$1}
  return 1
}

same() { # WHAT EXPECTED_FILE FOUND_FILE; the files may be pipes
  local expected=$directory/same.expected found=$directory/same.found
  cat "$2" >"$expected"
  cat "$3" >"$found"
  cmp -s "$expected" "$found" && return
  diff "$expected" "$found" | head -n 10
  because "$1: $(wc -l <"$expected") lines expected, $(wc -l <"$found") found, not the same"
}

# Waits until a command succeeds.
await() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}
