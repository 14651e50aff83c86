//! The commands: one file each, this one joins them. A command reads its arguments, asks whoever
//! knows, and hands an answer to `ui.rs` or a failure up. The words here are the help text.

mod audit;
mod client;
mod contract;
mod demo;
mod doctor;
mod event;
pub(crate) mod failure;
mod key;
mod listen;
mod log;
mod registry;
mod schema;
mod send;
mod serve;
mod stream;
mod topic;

use std::future::Future;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum as _};
use tracing_subscriber::EnvFilter;

use self::failure::{Exit, Failure};
use crate::ui::{Color, Format, Progress, Ui};

/// An event gateway over a replayable log that speaks Kafka's protocol, with contracts over everything.
#[derive(Debug, Parser)]
#[command(
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the check found something, 4 credentials \
                  needed, 5 not found, 6 refused, 7 server unreachable, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
}

/// How a command talks, the same for all.
#[derive(Args, Debug)]
struct Output {
    /// How data is printed.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    output: Format,
    /// How progress is shown on stderr.
    #[arg(long, global = true, value_name = "HOW", default_value = "auto")]
    progress: Progress,
    /// When colour is used.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job end to end; ends by itself.
    Demo(demo::Demo),
    /// Run the gateway and its log.
    Serve(serve::Serve),
    /// Send an event.
    Send(send::Send),
    /// Contracts in files.
    #[command(subcommand)]
    Contract(contract::Contract),
    /// Schemas of a registry.
    #[command(subcommand)]
    Schema(schema::Schema),
    /// Accepted events.
    #[command(subcommand)]
    Event(event::Event),
    Listen(listen::Listen),
    /// Topics of the log.
    #[command(subcommand)]
    Topic(topic::Topic),
    /// API keys of a gateway.
    #[command(subcommand)]
    Key(key::Key),
    /// Who changed what, and whether the records of it are whole.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The log's files.
    #[command(subcommand)]
    Log(log::Log),
    /// Check whether this machine can run tidegate.
    Doctor(doctor::Doctor),
}

/// Prints what the command line's reader says: help, version, or how it was used wrongly. A machine
/// that asked for JSON is answered in JSON, also where the rest of its line cannot be read.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let format = asked_format(std::env::args().skip(1));
    match format {
        Some(format @ (Format::Json | Format::Ndjson)) if error.use_stderr() => {
            let text = error.render().to_string();
            let mut lines = text.lines().filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or_default();
            let message = first.strip_prefix("error: ").unwrap_or(first);
            let rest: Vec<&str> = lines.map(str::trim).collect();
            let failure = Failure::new(Exit::Usage, message).with_hint(rest.join("; "));
            Ui::new(format, Progress::None, Color::Never).failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
        // Where it cannot be printed there is nobody to tell.
        _ => {
            drop(error.print());
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8))
        }
    }
}

/// Finds the format in a command line that cannot be read as a whole.
fn asked_format(arguments: impl Iterator<Item = String>) -> Option<Format> {
    let mut value_follows = false;
    let mut found = None;
    for argument in arguments.take_while(|argument| argument != "--") {
        let value = match argument.as_str() {
            value if value_follows => Some(value),
            text => text.strip_prefix("--output=").or(text.strip_prefix("-o")),
        };
        found = value
            .and_then(|value| Format::from_str(value, false).ok())
            .or(found);
        value_follows = argument == "-o" || argument == "--output";
    }
    found
}

impl Cli {
    /// Returns the output that was asked for.
    pub(crate) fn ui(&self) -> Ui {
        let Output {
            output,
            progress,
            color,
        } = self.output;
        Ui::new(output, progress, color)
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Whatever ends it with another exit code than 0.
    pub(crate) fn run(self, ui: &Ui) -> Result<(), Failure> {
        match self.command {
            Command::Demo(demo) => {
                start_logs(ui, "warn,rskafka=error");
                block_on(demo.run(ui))
            }
            Command::Serve(serve) => {
                start_logs(ui, "warn,tidegate=info");
                block_on(serve.run(ui))
            }
            Command::Send(send) => block_on(send.run(ui)),
            Command::Contract(contract) => contract.run(ui),
            Command::Schema(schema) => block_on(schema.run(ui)),
            Command::Event(event) => block_on(event.run(ui)),
            Command::Listen(listen) => block_on(listen.run(ui)),
            Command::Topic(topic) => block_on(topic.run(ui)),
            Command::Key(key) => block_on(key.run(ui)),
            Command::Audit(audit) => block_on(audit.run(ui)),
            Command::Log(log) => log.run(ui),
            Command::Doctor(doctor) => doctor.run(ui),
        }
    }
}

/// Runs an asynchronous command on a runtime of its own.
fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("threads cannot be started: {error}")))?
        .block_on(command)
}

/// Sends logs to stderr; `TIDEGATE_LOG` says which, in place of `filter`.
fn start_logs(ui: &Ui, filter: &str) {
    let filter = match std::env::var("TIDEGATE_LOG") {
        Ok(own) => EnvFilter::new(own),
        Err(_) => EnvFilter::new(filter),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ui.paints_stderr())
        .with_writer(ui.log_writer())
        .init();
}
