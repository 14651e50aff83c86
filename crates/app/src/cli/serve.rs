//! `serve`: the gateway and its log in one process, until it is told to stop.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use tokio::signal::unix::{SignalKind, signal};

use super::failure::{Exit, Failure};
use crate::config::{Config, Layers};
use crate::ui::Ui;
use crate::wire::Running;

/// Run the gateway and its log; SIGTERM or Ctrl-C drains and ends with 0.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// What keeps it from starting, or a door that fails.
    pub(crate) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let config = self.settings.settle()?;
        let mut running = Running::start(&config).await?;
        // From here on a signal means to stop in order; before, nothing was taken that could be lost.
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
        ui.line(&running.ready())?;
        let failed = loop {
            tokio::select! {
                _ = terminate.recv() => break None,
                _ = interrupt.recv() => break None,
                _ = hangup.recv() => running.look_at_files(),
                failed = running.failed() => break Some(failed),
            }
        };
        tracing::info!("stopping");
        match failed {
            None => running.stop().await,
            // The door that failed is told, whatever the others say.
            Some(failure) => running.stop().await.and(Err(failure)),
        }
    }
}

/// What keeps the log.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Keeper {
    /// This process, in its data directory.
    Embedded,
    /// An existing Kafka cluster.
    Kafka,
}

/// The settings, as flags.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// The directory that holds the log.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The folder of contracts.
    #[arg(long, value_name = "DIR")]
    contracts: Option<String>,
    /// Where events come in and the API is; port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Where the schema registry is.
    #[arg(long, value_name = "ADDR")]
    registry: Option<String>,
    /// Where Kafka clients connect.
    #[arg(long, value_name = "ADDR")]
    kafka: Option<String>,
    /// Where metrics and health are.
    #[arg(long, value_name = "ADDR")]
    ops: Option<String>,
    /// What keeps the log: `embedded`, or `kafka` with `--brokers`.
    #[arg(long, value_name = "KIND")]
    log: Option<Keeper>,
    /// An existing Kafka cluster that keeps the log, `host:port`, several with commas between them.
    #[arg(long, value_name = "LIST", conflicts_with_all = ["data", "kafka", "kafka_set"])]
    brokers: Option<String>,
    /// Let doors be reached from other machines without TLS and without credentials.
    #[arg(long)]
    insecure: bool,
    /// A file of settings; those it does not have keep their default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One of Kafka's own settings; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    kafka_set: Vec<String>,
    /// The secret of a source of webhooks, such as `github=env:NAME` or `stripe=env:NEW,env:OLD`.
    #[arg(long, value_name = "SOURCE=REFERENCE")]
    source_secret: Vec<String>,
}

impl Settings {
    /// Puts default, file, environment and flags together.
    ///
    /// # Errors
    /// All that is wrong in them.
    pub(crate) fn settle(self) -> Result<Config, Failure> {
        let mut layers = Layers::default();
        if let Some(file) = &self.config {
            let name = || format!("configuration file `{}`", file.display());
            layers = layers.file(file).with_context(name)?;
        }
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        layers = layers
            .environment(variables)
            .flag("--data", "data", self.data)
            .flag("--contracts", "contracts", self.contracts)
            .flag("--http", "ingress.listen", self.http)
            .flag("--registry", "registry.listen", self.registry)
            .flag("--kafka", "kafka.listen", self.kafka)
            .flag("--ops", "operations.listen", self.ops)
            .flag("--brokers", "kafka_log.brokers", self.brokers);
        for setting in self.kafka_set {
            let (name, value) = pair("--kafka-set", "KEY=VALUE", &setting)?;
            let key = format!("kafka.settings.{name}");
            layers = layers.flag("--kafka-set", &key, Some(value));
        }
        for secret in self.source_secret {
            let (source, reference) = pair("--source-secret", "SOURCE=REFERENCE", &secret)?;
            let key = format!("sources.{source}.secret");
            layers = layers.flag("--source-secret", &key, Some(reference));
        }
        let config = layers
            .insecure(self.insecure)
            .settle()
            .map_err(|found| Failure::of_findings(Exit::Usage, found))?;
        let wrong = match (self.log, &config.kafka_log) {
            (Some(Keeper::Kafka), None) => "`--log kafka` needs to know the cluster",
            (Some(Keeper::Embedded), Some(_)) => {
                "`--log embedded` with a cluster in `kafka_log.brokers`"
            }
            _ => return Ok(config),
        };
        let hint = "name the cluster with `--brokers`, or leave both out for the embedded log";
        Err(Failure::new(Exit::Usage, wrong).with_hint(hint))
    }
}

/// Takes `A=B` apart. The text may be a secret, so a message does not repeat it.
fn pair(flag: &str, form: &str, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(Failure::new(
            Exit::Usage,
            format!("flag `{flag}` takes `{form}`"),
        )),
    }
}
