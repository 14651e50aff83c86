//! What a contract wants of its topic against what the log has: pure.
//!
//! Narrowing is told from widening, because the one lets go of events or refuses them, and the other
//! does not. A setting that a contract does not speak of is nobody's difference.

use serde::Serialize;
use tidegate_contract::EventContract;
use tidegate_contract::model::Ordering;
use tidegate_event_log::{AlterTopic, Bounds, Topic, TopicConfig, TopicSpec};

/// A setting that is to change.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Setting {
    pub(crate) setting: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// How a topic differs from what its contract wants.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Differences {
    /// The partitions it has, and the number that is wanted: more, or fewer.
    pub(crate) partitions: Option<(i32, i32)>,
    pub(crate) widen: Vec<Setting>,
    pub(crate) narrow: Vec<Setting>,
}

/// Compares a topic with what is wanted.
pub(crate) fn differences(wanted: &TopicSpec, topic: &Topic, bounds: &Bounds) -> Differences {
    let mut found = Differences::default();
    let partitions = wanted.partitions.unwrap_or(topic.partitions);
    if partitions != topic.partitions {
        found.partitions = Some((topic.partitions, partitions));
    }
    for (setting, to) in &wanted.config {
        let from = topic.config.get(setting).or(bounds.defaults.get(setting));
        let from = from.cloned().unwrap_or_default();
        if from == *to {
            continue;
        }
        let is_wider = amount(setting, to) >= amount(setting, &from);
        let list = if is_wider {
            &mut found.widen
        } else {
            &mut found.narrow
        };
        list.push(Setting {
            setting: setting.clone(),
            from,
            to: to.clone(),
        });
    }
    found
}

/// How much a value lets through; what cannot be read counts as most, so that to leave it is narrowing.
fn amount(setting: &str, value: &str) -> i64 {
    match value.parse() {
        Ok(-1) if setting.starts_with("retention.") => i64::MAX,
        Ok(amount) => amount,
        Err(_) => i64::MAX,
    }
}

/// Says what no log of these bounds takes.
pub(crate) fn beyond(wanted: &TopicSpec, bounds: &Bounds) -> Option<String> {
    let partitions = wanted.partitions.unwrap_or(1);
    if partitions > bounds.partitions_a_topic {
        let most = bounds.partitions_a_topic;
        return Some(format!(
            "`topic.partitions` is `{partitions}`, and the log takes `{most}` a topic"
        ));
    }
    let message = wanted.config.get("max.message.bytes")?.parse::<u64>();
    let most = bounds.max_message_bytes;
    match message {
        Ok(bytes) if bytes <= most => None,
        _ => Some(format!(
            "`topic.maxMessage` and its envelope are larger than `{most}` bytes, the log's most"
        )),
    }
}

/// Says why a contract's topic must not get more partitions while it is used.
pub(crate) fn growth_breaks(contract: &EventContract) -> Option<&'static str> {
    (contract.key.ordering == Ordering::PerKey).then_some(
        "keys would go to other partitions, and events of one key overtake each other \
         (`ordering: per-key`)",
    )
}

/// Makes the change of settings.
pub(crate) fn set(settings: &[Setting]) -> AlterTopic {
    let settings = settings.iter();
    AlterTopic {
        set: settings
            .map(|it| (it.setting.clone(), it.to.clone()))
            .collect::<TopicConfig>(),
        ..AlterTopic::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> TopicConfig {
        let settings = settings.iter();
        settings
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn bounds() -> Bounds {
        Bounds {
            defaults: config(&[("retention.ms", "1000"), ("max.message.bytes", "100")]),
            max_message_bytes: 5_000,
            partitions_a_topic: 10,
            partitions_together: 100,
        }
    }

    fn check(
        wanted: &[(&str, &str)],
        has: &[(&str, &str)],
        widen: &[(&str, &str, &str)],
        narrow: &[(&str, &str, &str)],
    ) {
        let topic = Topic {
            name: "t".to_owned(),
            id: [0; 16],
            partitions: 3,
            config: config(has),
            internal: false,
        };
        let wanted = TopicSpec {
            name: "t".to_owned(),
            partitions: Some(3),
            config: config(wanted),
        };
        let settings = |list: &[(&str, &str, &str)]| -> Vec<Setting> {
            let list = list.iter();
            list.map(|(setting, from, to)| Setting {
                setting: (*setting).to_owned(),
                from: (*from).to_owned(),
                to: (*to).to_owned(),
            })
            .collect()
        };
        let expected = Differences {
            partitions: None,
            widen: settings(widen),
            narrow: settings(narrow),
        };
        assert_eq!(differences(&wanted, &topic, &bounds()), expected, "{has:?}");
    }

    #[test]
    fn narrowing_is_told_from_widening() {
        check(&[], &[("retention.ms", "5")], &[], &[]);
        check(&[("retention.ms", "5")], &[("retention.ms", "5")], &[], &[]);
        // What the log does where the topic says nothing.
        check(&[("retention.ms", "1000")], &[], &[], &[]);
        check(
            &[("retention.ms", "2000")],
            &[],
            &[("retention.ms", "1000", "2000")],
            &[],
        );
        check(
            &[("retention.ms", "500")],
            &[],
            &[],
            &[("retention.ms", "1000", "500")],
        );
        let forever = [("retention.ms", "-1")];
        check(&forever, &[], &[("retention.ms", "1000", "-1")], &[]);
        check(
            &[("retention.ms", "500")],
            &forever,
            &[],
            &[("retention.ms", "-1", "500")],
        );
        check(
            &[("max.message.bytes", "200"), ("retention.bytes", "-1")],
            &[("retention.bytes", "9"), ("max.message.bytes", "300")],
            &[("retention.bytes", "9", "-1")],
            &[("max.message.bytes", "300", "200")],
        );
        // Nobody knows how much it kept.
        check(
            &[("retention.ms", "5")],
            &[("retention.ms", "?")],
            &[],
            &[("retention.ms", "?", "5")],
        );
    }

    #[test]
    fn what_no_log_takes_is_told() {
        let spec = |partitions, bytes: &str| TopicSpec {
            name: "t".to_owned(),
            partitions: Some(partitions),
            config: config(&[("max.message.bytes", bytes)]),
        };
        assert_eq!(beyond(&spec(10, "5000"), &bounds()), None);
        let told = beyond(&spec(11, "5000"), &bounds()).unwrap();
        assert!(told.contains("`10` a topic"), "{told}");
        let told = beyond(&spec(1, "5001"), &bounds()).unwrap();
        assert!(told.contains("`5000` bytes"), "{told}");
    }
}
