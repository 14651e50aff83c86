//! `event show`: one accepted event, found by its receipt or its place.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::client::{Client, Server, segment};
use crate::cli::failure::{Exit, Failure};
use crate::ui::{Answer, Ui};

/// Show one event.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The receipt's id, or the place: `TOPIC/PARTITION/OFFSET`.
    #[arg(value_name = "RECEIPT|PLACE")]
    event: String,
    #[command(flatten)]
    server: Server,
}

impl Show {
    /// Asks and prints.
    ///
    /// # Errors
    /// The gateway's, and `NotFound`.
    pub(super) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let Self { event, server } = self;
        let client = server.client()?;
        let place = match Place::parse(&event) {
            Some(place) => place,
            None if event.contains('/') => {
                let message = format!("`{event}` is neither a receipt's id nor a place");
                let hint = "a place is `TOPIC/PARTITION/OFFSET`, such as `orders/0/42`";
                return Err(Failure::new(Exit::Usage, message).with_hint(hint));
            }
            None => Place::of_receipt(&client, &event).await?,
        };
        let event = place.read(&client).await?;
        let text = shown(&event);
        ui.print(&Answer::one(event, &[]).with_text(text))
    }
}

/// Where an event stands.
#[derive(Debug, Eq, PartialEq)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '/');
        let offset = parts.next()?.parse().ok()?;
        let partition = parts.next()?.parse().ok()?;
        let topic = parts.next().filter(|topic| !topic.is_empty())?;
        Some(Self {
            topic: topic.to_owned(),
            partition,
            offset,
        })
    }

    async fn of_receipt(client: &Client, id: &str) -> Result<Self, Failure> {
        let receipt = client.get(&format!("/v1/receipts/{}", segment(id))).await?;
        let place = || {
            Some(Self {
                topic: receipt["topic"].as_str()?.to_owned(),
                partition: receipt["partition"].as_i64()?.try_into().ok()?,
                offset: receipt["offset"].as_i64()?,
            })
        };
        place().ok_or_else(|| Failure::new(Exit::Failed, "the gateway's receipt has no place"))
    }

    async fn read(&self, client: &Client) -> Result<Value, Failure> {
        let Self {
            topic,
            partition,
            offset,
        } = self;
        let path = format!(
            "/v1/topics/{}/events?partition={partition}&offset={offset}&limit=1",
            segment(topic)
        );
        let mut page = client.get(&path).await?;
        match page["events"].get_mut(0).map(Value::take) {
            Some(mut event) if event["offset"] == *offset => {
                event["topic"] = json!(topic);
                event["partition"] = json!(partition);
                Ok(event)
            }
            _ => {
                let message = format!("there is no event at `{topic}/{partition}/{offset}`");
                Err(Failure::new(Exit::NotFound, message))
            }
        }
    }
}

/// Writes an event as people read it: where it stands, its headers, its data.
fn shown(event: &Value) -> String {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut lines = vec![
        format!(
            "place    {}/{}/{}",
            text(&event["topic"]),
            event["partition"],
            event["offset"]
        ),
        format!("time     {}", text(&event["time"])),
        format!("key      {}", text(either(event, "key"))),
        format!("receipt  {}", text(&event["receipt"]["id"])),
        String::new(),
    ];
    for header in event["headers"].as_array().into_iter().flatten() {
        lines.push(format!(
            "{}: {}",
            text(&header["name"]),
            text(either(header, "value"))
        ));
    }
    lines.push(String::new());
    lines.push(match event.get("data") {
        Some(data) => format!("{data:#}"),
        None => text(&event["data_base64"]),
    });
    lines.join("\n")
}

/// Returns a member that stands there as text or in base64.
fn either<'a>(value: &'a Value, name: &str) -> &'a Value {
    match &value[name] {
        Value::Null => &value[format!("{name}_base64").as_str()],
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_topic_and_two_numbers() {
        let place = |topic: &str, partition, offset| {
            let topic = topic.to_owned();
            Some(Place {
                topic,
                partition,
                offset,
            })
        };
        for (text, expected) in [
            ("orders/0/42", place("orders", 0, 42)),
            ("a/b/0/42", place("a/b", 0, 42)),
            ("/0/42", None),
            ("orders/42", None),
            ("orders/x/42", None),
            ("orders-0-42-0a1b2c3d", None),
        ] {
            assert_eq!(Place::parse(text), expected, "{text}");
        }
    }
}
