//! What the clients of librdkafka tell and ask: lines for the log, and a bearer token when theirs ends.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A token is read again at least this often, whatever it says of itself.
const TOKEN_LIFETIME: Duration = Duration::from_mins(5);

#[derive(Clone, Default)]
pub(crate) struct Context {
    pub(crate) token_file: Option<PathBuf>,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => tracing::error!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(facility, message, "librdkafka");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "librdkafka"),
        }
    }

    // librdkafka mends broken connections by itself; whoever waits for an answer is told by that.
    fn error(&self, error: KafkaError, reason: &str) {
        if matches!(error, KafkaError::Global(RDKafkaErrorCode::PartitionEOF)) {
            // The end of a partition is what readers ask to hear of.
            return;
        }
        tracing::warn!(error = %error, reason, "a kafka client had an error");
    }

    fn generate_oauth_token(&self, _settings: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let file = self.token_file.as_ref();
        let file = file.ok_or("no token file is set for `sasl.mechanism=OAUTHBEARER`")?;
        let token = std::fs::read_to_string(file)
            .map_err(|error| format!("token file `{}`: {error}", file.display()))?;
        let ends = SystemTime::UNIX_EPOCH.elapsed()? + TOKEN_LIFETIME;
        Ok(OAuthToken {
            token: token.trim().to_owned(),
            principal_name: "tidegate".to_owned(),
            lifetime_ms: i64::try_from(ends.as_millis())?,
        })
    }
}

impl ConsumerContext for Context {}
