//! Reads what strace saw of a serving process and says whether each ack followed its write. Pure.
//!
//! Sound because of how strace works: a thread stands still at the beginning and at the end of a
//! call until strace has written it down, so if one thing led to another, their lines are in order.

use std::collections::HashMap;

/// What the trace shows if it is in order.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Seen {
    /// Descriptors of segments that were written to.
    pub(super) descriptors: usize,
    /// Writes to segments.
    pub(super) writes: usize,
    /// Acks that followed the write of their event.
    pub(super) acks: usize,
}

/// A call as the trace has it, one line, or two if others came between.
#[derive(Debug)]
struct Call {
    name: String,
    /// Name, arguments and, once it has ended, result.
    text: String,
    began: usize,
    ended: Option<usize>,
}

/// How the first of a call's two lines ends.
const NOT_ENDED: &str = " <unfinished ...>";

/// Checks that every write to a segment is synced by the flag of its descriptor, and that for each
/// of `ids` request, write and answer followed each other: the write holds the id, began after the
/// request was read and ended before the answer was sent.
///
/// # Errors
/// What is out of order, or missing.
pub(super) fn check(trace: &str, ids: &[String]) -> Result<Seen, Vec<String>> {
    let calls = calls(trace);
    let mut faults = Vec::new();
    let (descriptors, writes) = segment_writes(&calls, &mut faults);
    let mut acks = 0;
    for id in ids {
        match follow(id, &calls, &writes) {
            Ok(()) => acks += 1,
            Err(fault) => faults.push(format!("{id}: {fault}")),
        }
    }
    if faults.is_empty() {
        let writes = writes.len();
        Ok(Seen {
            descriptors,
            writes,
            acks,
        })
    } else {
        Err(faults)
    }
}

/// Puts the halves of calls together.
fn calls(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (number, line) in trace.lines().enumerate() {
        // `PID SECONDS CALL`, the numbers padded.
        let mut words = line.splitn(2, char::is_whitespace);
        let (Some(thread), Some(rest)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((_, text)) = rest.trim_start().split_once(' ') else {
            continue;
        };
        if let Some(rest) = text.strip_prefix("<... ") {
            let resumed = rest.split_once(" resumed>").map(|(_, rest)| rest);
            if let (Some(index), Some(rest)) = (open.remove(thread), resumed) {
                calls[index].text.push_str(rest);
                calls[index].ended = Some(number);
            }
        } else if let Some((name, _)) = text.split_once('(') {
            let unfinished = text.strip_suffix(NOT_ENDED);
            if unfinished.is_some() {
                open.insert(thread, calls.len());
            }
            calls.push(Call {
                name: name.to_owned(),
                text: unfinished.unwrap_or(text).to_owned(),
                began: number,
                ended: unfinished.is_none().then_some(number),
            });
        }
    }
    calls
}

impl Call {
    /// The number after the last ` = `, if the call has ended.
    fn result(&self) -> Option<i64> {
        let (_, result) = self.text.rsplit_once(" = ")?;
        let digits = result.find(|c: char| c != '-' && !c.is_ascii_digit());
        result[..digits.unwrap_or(result.len())].parse().ok()
    }

    /// The path that `-y` shows for the first argument.
    fn path(&self) -> Option<&str> {
        let (_, arguments) = self.text.split_once('(')?;
        let (descriptor, rest) = arguments.split_once('<')?;
        let numeric = descriptor.bytes().all(|byte| byte.is_ascii_digit());
        numeric.then(|| rest.split_once('>'))?.map(|(path, _)| path)
    }

    /// The number of the first argument.
    fn descriptor(&self) -> Option<i64> {
        let (_, arguments) = self.text.split_once('(')?;
        arguments.split_once('<')?.0.parse().ok()
    }

    fn is_write(&self) -> bool {
        matches!(
            self.name.as_str(),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "sendto" | "sendmsg"
        )
    }

    fn is_read(&self) -> bool {
        matches!(
            self.name.as_str(),
            "read" | "readv" | "recvfrom" | "recvmsg"
        )
    }

    fn is_on_a_socket(&self) -> bool {
        self.path()
            .is_some_and(|path| path.starts_with("socket:") || path.starts_with("TCP:"))
    }
}

/// Finds the writes to segments, and says which of them no flag syncs.
fn segment_writes<'a>(calls: &'a [Call], faults: &mut Vec<String>) -> (usize, Vec<&'a Call>) {
    // By descriptor: the flags it was opened with last.
    let mut flags: HashMap<i64, &str> = HashMap::new();
    let mut used: Vec<(i64, &str)> = Vec::new();
    let mut writes = Vec::new();
    let mut events: Vec<(usize, &Call)> = calls
        .iter()
        .map(|call| match call.name.as_str() {
            // A descriptor is there when the call that opens it ends.
            "openat" | "open" => (call.ended.unwrap_or(usize::MAX), call),
            _ => (call.began, call),
        })
        .collect();
    events.sort_by_key(|(at, _)| *at);
    for (_, call) in events {
        if matches!(call.name.as_str(), "openat" | "open") {
            if let Some(descriptor) = call.result().filter(|number| *number >= 0) {
                // After the path, which is in quotes.
                let rest = call.text.rsplit_once('"').map_or("", |(_, rest)| rest);
                flags.insert(descriptor, rest);
            }
            continue;
        }
        let Some(path) = call.path().filter(|path| path.ends_with(".seg")) else {
            continue;
        };
        if !call.is_write() {
            continue;
        }
        writes.push(call);
        let descriptor = call.descriptor().unwrap_or(-1);
        if !used.contains(&(descriptor, path)) {
            used.push((descriptor, path));
            let opened = flags.get(&descriptor).copied().unwrap_or("not opened");
            let synced = opened.contains("O_DSYNC") || opened.contains("O_SYNC");
            if !synced {
                let name = path.rsplit('/').next().unwrap_or_default();
                faults.push(format!("{name} is written to without a sync: {opened}"));
            }
        }
    }
    (used.len(), writes)
}

/// Follows one event from the request to the answer.
fn follow(id: &str, calls: &[Call], writes: &[&Call]) -> Result<(), String> {
    let on_socket = |call: &&Call| call.is_on_a_socket() && call.text.contains(id);
    let request = calls.iter().find(|call| call.is_read() && on_socket(call));
    let answer = calls.iter().find(|call| call.is_write() && on_socket(call));
    let received = request.and_then(|call| call.ended);
    let received = received.ok_or("the request is not in the trace")?;
    let answered = answer.ok_or("the answer is not in the trace")?;
    if !answered.text.contains("HTTP/1.1 202 ") {
        return Err("the answer is no 202".to_owned());
    }
    let mut holding = writes
        .iter()
        .filter(|call| call.text.contains(id) && call.result().is_some_and(|bytes| bytes > 0));
    let write = holding
        .next()
        .ok_or("no write that ended holds the event")?;
    let ended = write.ended.expect("it has a result");
    if write.began < received {
        return Err("its write began before the request was read".to_owned());
    }
    if answered.began < ended {
        return Err("the answer left before the write had ended".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trace as strace 6.1 wrote it (`-f -ttt -y`), its strings shortened.
    const TRACE: &str = r#"
25192 1795271650.450387 openat(AT_FDCWD</d>, "data/wal/wal-000001.seg", O_RDONLY|O_CLOEXEC) = 13</d/data/wal/wal-000001.seg>
25192 1795271650.450782 fsync(13</d/data/wal/wal-000001.seg> <unfinished ...>
25196 1795271650.450853 openat(AT_FDCWD</d>, "data/wal/wal-000002.seg.part", O_WRONLY|O_CREAT|O_TRUNC|O_DIRECT|O_CLOEXEC, 0666) = 14</d/data/wal/wal-000002.seg.part>
25192 1795271650.451425 <... fsync resumed>) = 0
25192 1795271650.451511 openat(AT_FDCWD</d>, "data/wal/wal-000001.seg", O_RDWR|O_DSYNC|O_DIRECT|O_CLOEXEC <unfinished ...>
25196 1795271650.451602 pwrite64(14</d/data/wal/wal-000002.seg.part>, "\0\0\0\0"..., 1048576, 0) = 1048576
25192 1795271650.451700 <... openat resumed>) = 15</d/data/wal/wal-000001.seg>
25192 1795271650.452292 pwrite64(15</d/data/wal/wal-000001.seg>, "TGWALSEG\1\0\0"..., 4096, 0) = 4096
25095 1795271653.616671 recvfrom(18<socket:[189320]>, "POST /v1/events HTTP/1.1\r\nce-id: traced-0001\r\n\r\n{}", 8192, 0, NULL, NULL) = 363
25193 1795271653.619824 pwrite64(15</d/data/wal/wal-000001.seg>, "TGGR\200\0\0\ftraced-0001\0"..., 4096, 32768 <unfinished ...>
25095 1795271653.620001 recvfrom(19<socket:[189321]>,  <unfinished ...>
25095 1795271653.620101 <... recvfrom resumed>"POST /v1/events HTTP/1.1\r\nce-id: traced-0002\r\n\r\n{}", 8192, 0, NULL, NULL) = 363
25193 1795271653.621001 <... pwrite64 resumed>) = 4096
25194 1795271653.621824 pwrite64(15</d/data/wal/wal-000001.seg>, "TGGR\200\0\0\ftraced-0002\0"..., 4096, 36864) = 4096
25095 1795271653.623050 writev(18<socket:[189320]>, [{iov_base="HTTP/1.1 202 Accepted\r\n\r\n", iov_len=212}, {iov_base="{\"id\":\"traced-0001\"}", iov_len=257}], 2) = 469
25095 1795271653.623950 sendto(19<socket:[189321]>, "HTTP/1.1 202 Accepted\r\n\r\n{\"id\":\"traced-0002\"}", 257, MSG_NOSIGNAL, NULL, 0) = 257
"#;

    fn ids() -> Vec<String> {
        vec!["traced-0001".to_owned(), "traced-0002".to_owned()]
    }

    #[track_caller]
    fn red(trace: &str, expected: &[&str]) {
        assert_ne!(trace, TRACE, "the trace was spoilt");
        let faults = check(trace, &ids()).unwrap_err();
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, words) in faults.iter().zip(expected) {
            assert!(fault.contains(words), "{fault} has not `{words}`");
        }
    }

    /// Moves the line that has `what` in front of the one that has `to`.
    fn moved(what: &str, to: &str) -> String {
        let mut lines: Vec<&str> = TRACE.lines().collect();
        let from = lines.iter().position(|line| line.contains(what)).unwrap();
        let line = lines.remove(from);
        let to = lines.iter().position(|line| line.contains(to)).unwrap();
        lines.insert(to, line);
        lines.join("\n")
    }

    #[test]
    fn a_trace_in_order_is_seen_so() {
        let expected = Seen {
            descriptors: 1,
            writes: 3,
            acks: 2,
        };
        assert_eq!(check(TRACE, &ids()), Ok(expected));
    }

    #[test]
    fn without_the_sync_it_is_red() {
        let words = ["wal-000001.seg is written to without a sync"];
        red(&TRACE.replace("|O_DSYNC", ""), &words);
    }

    #[test]
    fn an_ack_before_its_write_is_red() {
        let ack = "socket:[189320]>, [{";
        let early = ["left before the write had ended"];
        // Before it began, and while it was under way.
        red(
            &moved(ack, "pwrite64(15</d/data/wal/wal-000001.seg>, \"TGGR"),
            &early,
        );
        red(&moved(ack, "pwrite64 resumed"), &early);
    }

    #[test]
    fn a_write_before_the_request_or_of_another_event_is_red() {
        let write = "TGGR\\200\\0\\0\\ftraced-0002";
        let began = ["began before the request was read"];
        red(&moved(write, "recvfrom(19"), &began);
        red(&TRACE.replace(write, "TGGR"), &["no write that ended"]);
        let failed = TRACE.replace("36864) = 4096", "36864) = -1 EIO (Input/output error)");
        red(&failed, &["no write that ended"]);
    }

    #[test]
    fn what_is_not_in_the_trace_is_red() {
        red(
            &TRACE.replace("ce-id: traced-0001", ""),
            &["the request is not"],
        );
        red(
            &TRACE.replace("{\\\"id\\\":\\\"traced-0001", ""),
            &["the answer is not"],
        );
        red(&TRACE.replacen("202 Accepted", "503 No", 1), &["is no 202"]);
    }
}
