//! One thread of the load: its connections, what is due on them, and what came back.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::event::Event;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::request::Template;
use super::{Clock, Form, Plan, Tally};
use crate::answer::Answer;
use crate::orders::Orders;
use crate::outcome;

/// How long a server that fell behind a fixed rate may catch up before the rest is not sent.
const GRACE: Duration = Duration::from_secs(5);
/// How long answers may take once nothing more is sent.
const DRAIN: Duration = Duration::from_secs(15);
const ANSWER_BYTES: usize = 256 * 1024;
/// A server that breaks off this often is not measured any longer.
const MOST_BREAKS: u64 = 50;
const TIMER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
    received: usize,
    busy: bool,
    due: Instant,
}

pub(super) struct Worker<'a> {
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
    pub(super) fn new(plan: &'a Plan, clock: Clock, index: usize, threads: usize) -> Result<Self> {
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

    pub(super) fn run(mut self) -> Result<Tally> {
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
        let request = &mut connection.request;
        let due_us = self.clock.unix_us(due);
        self.number = self
            .template
            .fill(&self.orders, self.number, self.step, due_us, request);
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
                    let whole = Answer::read(&connection.answer[..connection.received])?;
                    if let Some(Answer { status, .. }) = whole {
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
            let events = self.template.events();
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
