//! Makes HTTP load: connections that each wait for their answer before they send the next event, as
//! fast as they can or at a fixed rate.
//!
//! One thread of mio by default, a request built in place, an answer read as far as its status and
//! its end: the load must not be what bounds the result. At a fixed rate an event's time counts from
//! the moment it was due, so a server that stalls is not spared the events that had to wait
//! (coordinated omission).

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use mio::event::Event;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::orders::{BODY_BYTES, EVENT_SOURCE, EVENT_TYPE, ID_BYTES, Orders};
use crate::outcome::{self, Latency, Outcome};
use crate::usage::{Client, Meter, Watched};

/// How long a server that fell behind a fixed rate may catch up before the rest is not sent.
const GRACE: Duration = Duration::from_secs(5);
/// How long answers may take once nothing more is sent.
const DRAIN: Duration = Duration::from_secs(15);
const ANSWER_BYTES: usize = 256 * 1024;
/// A server that breaks off this often is not measured any longer.
const MOST_BREAKS: u64 = 50;
const TIMER: Token = Token(usize::MAX);

/// In which form events are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Form {
    /// CloudEvents: attributes as `ce-` headers, the data as the body.
    Binary,
    /// A body alone.
    Plain,
    /// A JSON array of CloudEvents.
    Batch,
}

/// A load.
pub struct Plan {
    pub address: SocketAddr,
    pub path: String,
    pub form: Form,
    /// Events a request, if the form is a batch.
    pub batch: usize,
    pub connections: usize,
    pub threads: usize,
    pub warm_up: Duration,
    pub window: Duration,
    /// Requests a second over all connections; as many as go without.
    pub rate: Option<f64>,
    pub run: u32,
    pub time: String,
    pub watched: Vec<Watched>,
}

/// The moments of a load.
#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
    from: Instant,
    to: Instant,
}

/// What a thread saw.
struct Tally {
    acked: u64,
    window_acked: u64,
    histogram: Histogram<u64>,
    statuses: BTreeMap<u16, u64>,
    broken: u64,
    unanswered: u64,
    unsent: u64,
}

/// Runs a load to its end and tells what it saw.
///
/// # Errors
/// If it cannot be started, or the server breaks off all the time; what a server answers is no
/// error but a problem of the outcome.
pub fn run(plan: &Plan) -> Result<Outcome> {
    let start = Instant::now() + Duration::from_millis(20);
    let from = start + plan.warm_up;
    let clock = Clock {
        start,
        from,
        to: from + plan.window,
    };
    let threads = plan.threads.clamp(1, plan.connections);
    let tallies = Mutex::new(Vec::new());
    let used = std::thread::scope(|scope| -> Result<_> {
        let workers: Vec<_> = (0..threads)
            .map(|index| {
                let tallies = &tallies;
                scope.spawn(move || -> Result<()> {
                    let tally = Worker::new(plan, clock, index, threads)?.run()?;
                    tallies.lock().expect("no thread panics").push(tally);
                    Ok(())
                })
            })
            .collect();
        std::thread::sleep(from.saturating_duration_since(Instant::now()));
        let meter = Meter::start(&plan.watched, Client::Myself);
        std::thread::sleep(clock.to.saturating_duration_since(Instant::now()));
        let used = meter.stop();
        for worker in workers {
            worker.join().expect("no thread panics")?;
        }
        Ok(used)
    })?;
    let tallies = tallies.into_inner().expect("no thread panics");
    Ok(sum_up(plan, &tallies, used))
}

fn sum_up(plan: &Plan, tallies: &[Tally], used: crate::usage::Use) -> Outcome {
    let mut histogram = outcome::histogram();
    let (mut acked, mut window_events) = (0, 0);
    let mut unsent = 0;
    let mut problems = Vec::new();
    for tally in tallies {
        histogram
            .add(&tally.histogram)
            .expect("the bounds are the same");
        acked += tally.acked;
        window_events += tally.window_acked;
        unsent += tally.unsent;
        for (status, count) in &tally.statuses {
            problems.push(format!("{count} requests were answered {status}"));
        }
        for (count, what) in [
            (tally.broken, "connections broke"),
            (tally.unanswered, "requests had no answer"),
        ] {
            if count > 0 {
                problems.push(format!("{count} {what}"));
            }
        }
    }
    Outcome {
        acked,
        window_events,
        events_per_s: window_events as f64 / plan.window.as_secs_f64(),
        latency: Latency::of(&histogram),
        used: Some(used),
        unsent,
        problems,
    }
}

/// A request's bytes, and where the events' ids and data stand in it.
struct Template {
    bytes: Vec<u8>,
    ids: Vec<usize>,
    bodies: Vec<usize>,
}

impl Template {
    fn new(plan: &Plan, time: &str) -> Self {
        let id = "i".repeat(ID_BYTES);
        let data = "d".repeat(BODY_BYTES);
        let (head, body) = match plan.form {
            Form::Plain => ("content-type: application/json\r\n".to_owned(), data),
            Form::Binary => (
                format!(
                    "content-type: application/json\r\nce-specversion: 1.0\r\nce-type: {EVENT_TYPE}\r\n\
                     ce-source: {EVENT_SOURCE}\r\nce-time: {time}\r\nce-id: {id}\r\n"
                ),
                data,
            ),
            Form::Batch => {
                let event = format!(
                    "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"type\":\"{EVENT_TYPE}\",\
                     \"source\":\"{EVENT_SOURCE}\",\"time\":\"{time}\",\
                     \"datacontenttype\":\"application/json\",\"data\":{data}}}"
                );
                let events = vec![event; plan.batch];
                (
                    "content-type: application/cloudevents-batch+json\r\n".to_owned(),
                    format!("[{}]", events.join(",")),
                )
            }
        };
        let text = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n{head}\r\n{body}",
            plan.path,
            plan.address,
            body.len(),
        );
        let places = |what: &str| text.match_indices(what).map(|(at, _)| at).collect();
        Self {
            ids: places(&id),
            bodies: places(&"d".repeat(BODY_BYTES)),
            bytes: text.into_bytes(),
        }
    }
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
    received: usize,
    busy: bool,
    due: Instant,
}

struct Worker<'a> {
    plan: &'a Plan,
    clock: Clock,
    poll: Poll,
    timer: Option<std::os::fd::OwnedFd>,
    orders: Orders,
    template: Template,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    busy: usize,
    /// The next event's number, and the step to the one after: threads share the numbers.
    number: u64,
    step: u64,
    /// Requests sent at the fixed rate.
    dispatched: u64,
    /// Between two requests of this thread.
    interval: Option<Duration>,
    tally: Tally,
}

impl<'a> Worker<'a> {
    fn new(plan: &'a Plan, clock: Clock, index: usize, threads: usize) -> Result<Self> {
        let orders = Orders::new(plan.run, &plan.time);
        let poll = Poll::new()?;
        let count = (plan.connections + threads - 1 - index) / threads;
        let template = Template::new(plan, orders.time());
        let mut connections = Vec::with_capacity(count);
        for token in 0..count {
            connections.push(Connection {
                stream: connect(plan.address, &poll, token)?,
                request: template.bytes.clone(),
                sent: 0,
                answer: vec![
                    0;
                    if plan.form == Form::Batch {
                        ANSWER_BYTES
                    } else {
                        8192
                    }
                ],
                received: 0,
                busy: false,
                due: clock.start,
            });
        }
        let interval = plan
            .rate
            .map(|rate| Duration::from_secs_f64(threads as f64 / rate));
        let timer = match interval {
            Some(_) => {
                let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
                let mut source = SourceFd(&timer.as_raw_fd());
                poll.registry()
                    .register(&mut source, TIMER, Interest::READABLE)?;
                Some(timer)
            }
            None => None,
        };
        Ok(Self {
            plan,
            clock,
            poll,
            timer,
            orders,
            template,
            idle: (0..count).rev().collect(),
            connections,
            busy: 0,
            number: index as u64,
            step: threads as u64,
            dispatched: 0,
            interval,
            tally: Tally {
                acked: 0,
                window_acked: 0,
                histogram: outcome::histogram(),
                statuses: BTreeMap::new(),
                broken: 0,
                unanswered: 0,
                unsent: 0,
            },
        })
    }

    fn run(mut self) -> Result<Tally> {
        std::thread::sleep(self.clock.start.saturating_duration_since(Instant::now()));
        let end = self.clock.to + GRACE + DRAIN;
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            let more_due = self.dispatch(now)?;
            if (self.busy == 0 && !more_due) || now >= end {
                break;
            }
            let limit = self.limit(now, end);
            match self.poll.poll(&mut events, Some(limit)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.context("cannot wait for the connections")?,
            }
            for event in &events {
                if event.token() != TIMER {
                    self.progress(event)?;
                }
            }
        }
        self.tally.unanswered += self.busy as u64;
        self.count_unsent();
        Ok(self.tally)
    }

    /// What was due and not sent waited at least until it was given up.
    fn count_unsent(&mut self) {
        let Some(interval) = self.interval else {
            return;
        };
        loop {
            let due = self.clock.start + interval.mul_f64(self.dispatched as f64);
            if due >= self.clock.to {
                return;
            }
            self.dispatched += 1;
            self.tally.unsent += 1;
            if due >= self.clock.from {
                outcome::record(&mut self.tally.histogram, self.clock.to + GRACE - due);
            }
        }
    }

    /// How long to wait for the connections: without a rate, until the load ends.
    fn limit(&self, now: Instant, end: Instant) -> Duration {
        let until = if now < self.clock.to {
            self.clock.to
        } else {
            end
        };
        until.saturating_duration_since(now) + Duration::from_millis(1)
    }

    /// Sends what is due on connections that are idle; says whether something will be due later.
    fn dispatch(&mut self, now: Instant) -> Result<bool> {
        let Some(interval) = self.interval else {
            if now >= self.clock.to {
                return Ok(false);
            }
            while let Some(token) = self.idle.pop() {
                self.send(token, Instant::now())?;
            }
            return Ok(true);
        };
        loop {
            let due = self.clock.start + interval.mul_f64(self.dispatched as f64);
            if due >= self.clock.to || now >= self.clock.to + GRACE {
                return Ok(false);
            }
            if due > now {
                if !self.idle.is_empty() {
                    self.arm(due - now)?;
                }
                return Ok(true);
            }
            let Some(token) = self.idle.pop() else {
                return Ok(true);
            };
            self.dispatched += 1;
            self.send(token, due)?;
        }
    }

    fn arm(&self, after: Duration) -> Result<()> {
        let Some(timer) = &self.timer else {
            return Ok(());
        };
        let value = Timespec {
            tv_sec: after.as_secs() as i64,
            tv_nsec: i64::from(after.subsec_nanos().max(1)),
        };
        let interval = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        timerfd_settime(
            timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec {
                it_interval: interval,
                it_value: value,
            },
        )?;
        Ok(())
    }

    fn send(&mut self, token: usize, due: Instant) -> Result<()> {
        let connection = &mut self.connections[token];
        for (index, &at) in self.template.bodies.iter().enumerate() {
            self.orders
                .write_body(self.number, &mut connection.request[at..at + BODY_BYTES]);
            // A plain body is alone.
            if let Some(&at) = self.template.ids.get(index) {
                self.orders
                    .write_id(self.number, &mut connection.request[at..]);
            }
            self.number += self.step;
        }
        connection.sent = 0;
        connection.received = 0;
        connection.busy = true;
        connection.due = due;
        self.busy += 1;
        self.push(token)
    }

    /// Writes what is left of a request.
    fn push(&mut self, token: usize) -> Result<()> {
        let connection = &mut self.connections[token];
        while connection.sent < connection.request.len() {
            match connection
                .stream
                .write(&connection.request[connection.sent..])
            {
                Ok(0) => return self.broke(token),
                Ok(bytes) => connection.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.broke(token),
            }
        }
        Ok(())
    }

    fn progress(&mut self, event: &Event) -> Result<()> {
        let token = event.token().0;
        if self.connections[token].busy
            && self.connections[token].sent < self.connections[token].request.len()
        {
            self.push(token)?;
        }
        if !event.is_readable() {
            return Ok(());
        }
        loop {
            let connection = &mut self.connections[token];
            if connection.received == connection.answer.len() {
                connection.answer.resize(connection.received * 2, 0);
            }
            match connection
                .stream
                .read(&mut connection.answer[connection.received..])
            {
                Ok(0) => return self.broke(token),
                Ok(bytes) => {
                    connection.received += bytes;
                    let whole = answer_of(&connection.answer[..connection.received]);
                    if let Some(status) = whole? {
                        return self.answered(token, status);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.broke(token),
            }
        }
    }

    fn answered(&mut self, token: usize, status: u16) -> Result<()> {
        let now = Instant::now();
        let connection = &mut self.connections[token];
        if !connection.busy {
            bail!("an answer came that nobody had asked for");
        }
        connection.busy = false;
        self.busy -= 1;
        self.idle.push(token);
        let in_window = |at: Instant| at >= self.clock.from && at < self.clock.to;
        if matches!(status, 200 | 201 | 202 | 204) {
            let events = self.template.bodies.len() as u64;
            self.tally.acked += events;
            if in_window(now) {
                self.tally.window_acked += events;
            }
        } else {
            *self.tally.statuses.entry(status).or_default() += 1;
        }
        // At a fixed rate the events due in the window count, whenever they were answered.
        let counted = match self.interval {
            Some(_) => in_window(connection.due),
            None => in_window(now),
        };
        if counted {
            outcome::record(&mut self.tally.histogram, now - connection.due);
        }
        if self.interval.is_none() && now < self.clock.to {
            self.idle.pop();
            self.send(token, now)?;
        }
        Ok(())
    }

    fn broke(&mut self, token: usize) -> Result<()> {
        self.tally.broken += 1;
        let connection = &mut self.connections[token];
        if connection.busy {
            connection.busy = false;
            self.busy -= 1;
            self.tally.unanswered += 1;
            self.idle.push(token);
        }
        if self.tally.broken > MOST_BREAKS {
            bail!("the server at {} breaks off", self.plan.address);
        }
        connection.stream = connect(self.plan.address, &self.poll, token)?;
        Ok(())
    }
}

fn connect(address: SocketAddr, poll: &Poll, token: usize) -> Result<TcpStream> {
    let stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5))
        .with_context(|| format!("nobody listens on {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    poll.registry().register(
        &mut stream,
        Token(token),
        Interest::READABLE | Interest::WRITABLE,
    )?;
    Ok(stream)
}

/// Returns the status of an answer that is there as a whole.
fn answer_of(bytes: &[u8]) -> Result<Option<u16>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) =
        response.parse(bytes).context("the answer is no HTTP")?
    else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = match length {
        Some(header) => std::str::from_utf8(header.value)?.trim().parse()?,
        None if status == 204 => 0,
        None => bail!("an answer {status} without content-length"),
    };
    Ok((bytes.len() >= head + length).then_some(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_as_many_ids_as_events() {
        let plan = Plan {
            address: "127.0.0.1:1".parse().expect("an address"),
            path: "/".to_owned(),
            form: Form::Batch,
            batch: 3,
            connections: 1,
            threads: 1,
            warm_up: Duration::ZERO,
            window: Duration::ZERO,
            rate: None,
            run: 1,
            time: "2026-01-01T00:00:00Z".to_owned(),
            watched: Vec::new(),
        };
        let template = Template::new(&plan, &plan.time);
        assert_eq!((template.ids.len(), template.bodies.len()), (3, 3));
        assert!(template.ids[1] > template.bodies[0] && template.ids[1] < template.bodies[1]);
    }

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(answer_of(whole).expect("it is HTTP"), Some(202));
        assert_eq!(
            answer_of(&whole[..whole.len() - 1]).expect("it is HTTP"),
            None
        );
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(answer_of(empty).expect("it is HTTP"), Some(204));
    }
}
